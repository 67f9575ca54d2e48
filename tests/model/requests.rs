//! Random requests: most of them valid, many at a limit, some with ids that are taken, some past a limit.

use kpi_store::{DatasetId, KpiId, NewDataset, NewKpi, ValueType};
use uuid::Uuid;

use super::support::Random;

/// A random id.
pub(crate) fn uuid(random: &mut Random) -> Uuid {
    Uuid::from_u64_pair(random.next(), random.next())
}

/// A request; `taken` are ids that exist, in this organization or another.
pub(crate) fn request(random: &mut Random, taken: &[DatasetId]) -> NewDataset {
    let mut request = NewDataset::new(text(random, 1, 255));
    if random.percent(40) {
        request = request.description(text(random, 0, 2_000));
    }
    if random.percent(40) {
        let id = uuid(random).into();
        request = request.id(if random.percent(30) { pick(random, taken).unwrap_or(id) } else { id });
    }
    let count = match random.below(80) {
        0 => 101,
        1 => return request.kpis((0..10_001).map(|_| NewKpi::new("a"))),
        _ => random.below(5),
    };
    let kpi_ids = [KpiId::from(uuid(random)), uuid(random).into(), uuid(random).into()];
    request.kpis((0..count).map(|_| kpi(random, &kpi_ids)))
}

fn kpi(random: &mut Random, ids: &[KpiId]) -> NewKpi {
    let orders = [0, 0, 1, 2, i64::MAX];
    let kpi = new_kpi(random).sort_order(if random.percent(1) { -1 } else { orders[random.below(5)] });
    // From a few, so that some are used twice.
    if random.percent(10) { kpi.id(ids[random.below(ids.len())]) } else { kpi }
}

/// A KPI without an id.
pub(crate) fn new_kpi(random: &mut Random) -> NewKpi {
    let mut kpi = NewKpi::new(text(random, 1, 255)).value_type(value_type(random)).required(random.percent(50));
    if random.percent(40) {
        kpi = kpi.unit(text(random, 0, 50));
    }
    if random.percent(20) {
        kpi = kpi.description(text(random, 0, 2_000));
    }
    kpi
}

pub(crate) fn value_type(random: &mut Random) -> ValueType {
    let types = [ValueType::Number, ValueType::Text, ValueType::Percentage, ValueType::Date, ValueType::Boolean];
    types[random.below(5)]
}

/// A text of `min` to `max` code points; rarely one that is not allowed.
pub(crate) fn text(random: &mut Random, min: usize, max: usize) -> String {
    let letter = ["a", "ß", "水", "😀", " "][random.below(5)];
    match random.below(200) {
        0 => letter.repeat(max + 1),
        1 => "a\0b".to_owned(),
        2 if min > 0 => String::new(),
        3..10 => letter.repeat(max),
        _ => letter.repeat(min + random.below(12)),
    }
}

pub(crate) fn pick<T: Copy>(random: &mut Random, all: &[T]) -> Option<T> {
    if all.is_empty() { None } else { Some(all[random.below(all.len())]) }
}
