//! The sequences of calls that are run while the disk fails or the power is cut.

use std::fs;

use kpi_store_fault_vfs::Kind;
use kpi_store_test_support::given_scenario;

use super::change_scenarios;
use super::session::{CLAIMED_BACKUP, Session};
use crate::Result;
use crate::sqlite::open::upgrade_tests::schemas::{ADDS_A_COLUMN, REBUILDS};

pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// Makes what was there before, closed and durable.
    pub(super) prepare: fn(&mut Session) -> Result<()>,
    pub(super) run: fn(&mut Session) -> Result<()>,
}

pub(super) static SCENARIOS: [Scenario; 23] = [
    Scenario { name: "first opening", prepare: nothing, run: |session| session.open() },
    Scenario {
        name: "first opening, create, close, the same again",
        prepare: nothing,
        run: |session| {
            for _ in 0..2 {
                session.open()?;
                session.create(1)?;
                session.close()?;
            }
            Ok(())
        },
    },
    Scenario {
        name: "create without KPIs",
        prepare: two_datasets,
        run: |session| open_and_create(session, &[0, 0, 0]),
    },
    Scenario { name: "create with a KPI", prepare: two_datasets, run: |session| open_and_create(session, &[1, 1, 1]) },
    Scenario {
        name: "create with 100 KPIs",
        prepare: two_datasets,
        run: |session| open_and_create(session, &[100, 100]),
    },
    Scenario {
        name: "batch",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            session.create_together(&[2, 0, 30])?;
            session.create_together(&[1, 1])
        },
    },
    Scenario {
        name: "group of writers that share a commit",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            session.create_in_a_group(&[1, 0, 30, 2])?;
            session.create(1)?;
            session.create_in_a_group(&[0, 1])
        },
    },
    Scenario {
        name: "load in one transaction",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            session.load(&[1, 0, 60, 2], None)?;
            session.create(1)
        },
    },
    Scenario {
        name: "load in batches",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            session.load(&[1, 0, 30, 2, 1], Some(2))
        },
    },
    Scenario {
        name: "accept",
        prepare: |session| {
            two_datasets(session)?;
            session.alter(2);
            Ok(())
        },
        run: |session| {
            session.open()?;
            session.accept()?;
            session.create(1)?;
            session.accept()
        },
    },
    Scenario {
        name: "checkpoint by a second handle, and the log from its start again",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            session.create(3)?;
            session.create(3)?;
            session.open_another()?;
            session.close_another()?;
            session.create(1)?;
            session.open_another()?;
            session.close_another()?;
            session.create(1)?;
            session.create(40)
        },
    },
    Scenario {
        name: "checkpoint, and the log from its start again",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            session.create(3)?;
            session.checkpoint()?;
            session.create(1)?;
            session.create(40)?;
            session.checkpoint()
        },
    },
    Scenario {
        name: "compactions between creates",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            session.create(30)?;
            session.store().compact()?;
            session.create(1)?;
            session.store().compact()?;
            session.create(1)
        },
    },
    Scenario {
        name: "a log that outgrows its bound, once and by far",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            for kpis in [20, 20, 20, 20, 100] {
                session.create(kpis)?;
            }
            session.create_together(&[100; 8])?;
            session.create(1)
        },
    },
    Scenario {
        name: "close and open again",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            session.create(2)?;
            session.close()?;
            session.open()?;
            session.create(2)?;
            session.close()
        },
    },
    Scenario {
        name: "read and list",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            session.read()?;
            session.create(1)?;
            session.read()?;
            session.store().verify()?;
            Ok(())
        },
    },
    Scenario {
        name: "backup between creates",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            session.create(1)?;
            session.back_up("first.copy")?;
            session.create(1)?;
            session.back_up("second.copy")
        },
    },
    Scenario {
        name: "backup where there are no hard links",
        prepare: two_datasets,
        run: |session| {
            session.disk.lack(Kind::Link);
            session.open()?;
            session.create(1)?;
            session.back_up(CLAIMED_BACKUP)
        },
    },
    Scenario {
        name: "opening a backup in the place of the file",
        prepare: |session| {
            two_datasets(session)?;
            session.open()?;
            session.store().backup_to(session.file.with_file_name("copy"))?;
            session.close()?;
            fs::rename(session.file.with_file_name("copy"), &session.file).unwrap();
            session.file_was_restored();
            Ok(())
        },
        run: |session| open_and_create(session, &[1]),
    },
    Scenario {
        name: "upgrade that adds a column",
        prepare: two_datasets,
        run: |session| {
            session.upgrade(&ADDS_A_COLUMN)?;
            session.create(1)
        },
    },
    Scenario {
        name: "upgrade that rebuilds a table",
        prepare: two_datasets,
        run: |session| {
            session.upgrade(&REBUILDS)?;
            session.create(1)?;
            session.close()
        },
    },
    Scenario {
        name: "upgrade beside a log",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            session.create(2)?;
            session.upgrade(&REBUILDS)
        },
    },
    Scenario {
        name: "two handles in turn",
        prepare: two_datasets,
        run: |session| {
            session.open()?;
            session.create(1)?;
            session.open_another()?;
            session.read()?;
            session.create(1)?;
            session.close()
        },
    },
];

/// All scenarios but the large ones, or those whose names contain the given text.
pub(super) fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    SCENARIOS.iter().chain(&change_scenarios::SCENARIOS).filter(|scenario| scenario.is_asked_for())
}

pub(super) fn large_scenarios() -> impl Iterator<Item = &'static Scenario> {
    change_scenarios::LARGE.iter().filter(|scenario| scenario.is_asked_for())
}

impl Scenario {
    pub(super) fn is_asked_for(&self) -> bool {
        given_scenario().is_none_or(|given| given.split('|').any(|part| self.name.contains(part)))
    }

    /// Whether it is one of those of changes, of which the short form takes a smaller sample.
    pub(super) fn is_of_changes(&self) -> bool {
        change_scenarios::SCENARIOS.iter().any(|scenario| std::ptr::eq(scenario, self))
    }
}

#[allow(clippy::unnecessary_wraps, reason = "one of several of this kind")]
fn nothing(_: &mut Session) -> Result<()> {
    Ok(())
}

pub(super) fn two_datasets(session: &mut Session) -> Result<()> {
    session.open()?;
    session.create(2)?;
    session.create_together(&[0, 3])?;
    session.close()
}

fn open_and_create(session: &mut Session, kpis: &[usize]) -> Result<()> {
    session.open()?;
    kpis.iter().try_for_each(|kpis| session.create(*kpis))
}
