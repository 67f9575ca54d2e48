//! The same seeded input for both sides.

use kpi_store::{NewDataset, NewKpi, ValueType};

/// A small generator of numbers that look random and are the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % bound).unwrap()
    }
}

/// Datasets with so many KPIs each, in short texts.
pub(crate) fn datasets(count: usize, kpis: usize) -> Vec<NewDataset> {
    let mut numbers = Numbers(2026);
    (0..count).map(|index| dataset(index, kpis, &mut numbers)).collect()
}

fn dataset(index: usize, kpis: usize, numbers: &mut Numbers) -> NewDataset {
    NewDataset::new(format!("GRI 303: Water and Effluents, site {index}"))
        .description("Withdrawal, discharge and consumption by source")
        .kpis((0..kpis).map(|kpi| {
            NewKpi::new(format!("Total water withdrawal {kpi}"))
                .description(format!("GRI 303-3-a, source {}", numbers.below(1_000)))
                .unit("m³")
                .value_type(ValueType::ALL[numbers.below(5)])
                .required(numbers.below(2) == 0)
                .sort_order(i64::try_from(kpi).unwrap())
        }))
}
