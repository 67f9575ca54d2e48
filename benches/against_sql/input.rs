//! The same seeded input for both sides.

use kpi_store::{NewDataset, NewKpi, ValueType};

/// How long texts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Texts {
    /// About twenty bytes each, which is typical.
    Short,
    /// Descriptions of 2,000 characters, the most that the contract allows.
    Long,
}

/// Of this number of datasets, one has its KPIs out of display order.
const OUT_OF_ORDER: usize = 8;

/// A small generator of pseudo-random numbers, the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % bound).unwrap()
    }
}

/// This number of datasets, with this number of KPIs each.
pub(crate) fn datasets(count: usize, kpis: usize, texts: Texts) -> Vec<NewDataset> {
    let mut numbers = Numbers(2026);
    (0..count).map(|index| dataset(index, kpis, texts, &mut numbers)).collect()
}

fn dataset(index: usize, kpis: usize, texts: Texts, numbers: &mut Numbers) -> NewDataset {
    let is_in_order = index % OUT_OF_ORDER != OUT_OF_ORDER - 1;
    NewDataset::new(format!("GRI 303: Water and Effluents, site {index}"))
        .description(described("Withdrawal, discharge and consumption by source".to_owned(), texts, numbers))
        .kpis((0..kpis).map(|kpi| {
            let description = format!("GRI 303-3-a, source {}", numbers.below(1_000));
            NewKpi::new(format!("Total water withdrawal {kpi}"))
                .description(described(description, texts, numbers))
                .unit("m³")
                .value_type(ValueType::ALL[numbers.below(5)])
                .required(numbers.below(2) == 0)
                .sort_order(i64::try_from(if is_in_order { kpi } else { kpis - kpi }).unwrap())
        }))
}

fn described(short: String, texts: Texts, numbers: &mut Numbers) -> String {
    const WORDS: [&str; 8] = ["water", "withdrawn", "in", "megalitres", "of", "third-party", "m³", "sources"];
    if texts == Texts::Short {
        return short;
    }
    let mut long = short;
    while long.chars().count() < 2_000 {
        long.extend([" ", WORDS[numbers.below(8)]]);
    }
    long.chars().take(2_000).collect()
}
