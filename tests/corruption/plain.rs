//! The control: what plain SQLite reads from a damaged file.

use std::collections::BTreeSet;
use std::path::Path;

use crate::Stored;

/// How many rows that differ from what was stored plain SQLite returns without an error.
pub(crate) fn wrong_rows(path: &Path, stored: &Stored) -> u64 {
    let rows = || -> rusqlite::Result<Vec<(String, Option<String>)>> {
        let copy = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let mut statement = copy.prepare(
            "SELECT d.name || coalesce(d.description, ''), k.name || coalesce(k.description, '')
             FROM dataset d LEFT JOIN kpi k ON k.dataset_seq = d.seq",
        )?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let text =
        |name: &str, description: &Option<String>| format!("{name}{}", description.as_deref().unwrap_or_default());
    let expected: BTreeSet<(String, Option<String>)> = stored
        .values()
        .flatten()
        .flat_map(|dataset| {
            let of_dataset = text(&dataset.name, &dataset.description);
            let kpis = dataset.kpis.iter().map(|kpi| Some(text(&kpi.name, &kpi.description)));
            let none = dataset.kpis.is_empty().then_some(None);
            kpis.chain(none).map(move |kpi| (of_dataset.clone(), kpi)).collect::<Vec<_>>()
        })
        .collect();
    let found = rows().unwrap_or_default();
    found.iter().filter(|row| !expected.contains(*row)).count() as u64
}
