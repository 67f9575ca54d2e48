//! The input: the same for every peer and in every run.

use kpi_store::{NewDataset, NewKpi, ValueType};

/// The number of KPIs of a dataset.
pub const KPIS: usize = 10;

/// How long descriptions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// About thirty bytes, which is typical.
    Short,
    /// 2,000 characters, the most that the contract allows.
    Long,
}

/// A small generator of pseudo-random numbers.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// A generator with this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let bits = usize::try_from(self.0 >> 33).unwrap_or(usize::MAX);
        bits % bound
    }
}

/// Endless datasets of [`KPIS`] KPIs.
///
/// Of eight datasets, one has its KPIs in the reverse of the display order and one has equal sort orders. One
/// description of eight is absent, and as many units are.
pub fn datasets(texts: Texts) -> impl Iterator<Item = NewDataset> + Send {
    let mut numbers = Numbers::new(2026);
    (0..).map(move |index| dataset(index, texts, &mut numbers))
}

/// A request that every peer must refuse: a name is empty and a sort order negative.
pub fn invalid() -> NewDataset {
    NewDataset::new("Water").kpi(NewKpi::new("Withdrawal")).kpi(NewKpi::new("").sort_order(-1))
}

fn dataset(index: usize, texts: Texts, numbers: &mut Numbers) -> NewDataset {
    let mut new = NewDataset::new(format!("GRI 303: Water and Effluents, site {index}"));
    new.description = described("Withdrawal, discharge and consumption by source".to_owned(), texts, numbers);
    new.kpis((0..KPIS).map(|place| {
        let name = format!("Total water withdrawal {place}");
        let description = format!("GRI 303-3-a, source {}", numbers.below(1_000));
        let sort_order = match index % 8 {
            3 => place / 4,
            7 => KPIS - place,
            _ => place,
        };
        let mut kpi = NewKpi::new(name)
            .value_type(ValueType::ALL[numbers.below(ValueType::ALL.len())])
            .required(numbers.below(2) == 0)
            .sort_order(i64::try_from(sort_order).unwrap_or(0));
        kpi.description = described(description, texts, numbers);
        kpi.unit = (numbers.below(8) != 0).then(|| "m³".to_owned());
        kpi
    }))
}

fn described(short: String, texts: Texts, numbers: &mut Numbers) -> Option<String> {
    const WORDS: [&str; 8] = ["water", "withdrawn", "in", "megalitres", "of", "third-party", "m³", "sources"];
    if numbers.below(8) == 0 {
        return None;
    }
    let mut text = short;
    if texts == Texts::Long {
        while text.chars().count() < 2_000 {
            text.extend((0..50).flat_map(|_| [" ", WORDS[numbers.below(8)]]));
        }
        text = text.chars().take(2_000).collect();
    }
    Some(text)
}
