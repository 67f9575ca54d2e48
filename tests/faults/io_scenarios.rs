//! More scenarios for failing operations than for power cuts: those that only read, and those that begin with open
//! handles.

use std::fs;
use std::path::Path;

use kpi_store_fault_vfs::{Cause, Fault, Kind};

use super::look::read;
use super::scenarios::{Scenario, two_datasets};
use super::session::{Creation, Event, Outcome, Session, request};
use super::world::Found;
use crate::sqlite::open::upgrade_tests::schemas::REBUILDS;
use crate::{Error, Result, Store};

pub(super) static SCENARIOS: [Scenario; 10] = [
    Scenario { name: "opening what is up to date", prepare: two_datasets, run: |session| session.open() },
    Scenario {
        name: "opening for reading only, and reading",
        prepare: two_datasets,
        run: |session| {
            session.open_read_only()?;
            session.read().map(drop)
        },
    },
    Scenario {
        name: "opening for reading only beside a writer, and reading",
        prepare: |session| {
            two_datasets(session)?;
            session.open_another()?;
            session.open()?;
            session.create(1)
        },
        run: |session| {
            session.open_read_only()?;
            session.read().map(drop)
        },
    },
    Scenario {
        name: "reading and writing by an open handle",
        prepare: opened,
        run: |session| {
            session.read()?;
            session.create(3)?;
            session.create_together(&[0, 40, 1])?;
            session.read().map(drop)
        },
    },
    Scenario {
        name: "verify and backup by an open handle",
        prepare: opened,
        run: |session| {
            session.verify()?;
            session.back_up("copy")
        },
    },
    Scenario {
        name: "verify of trees of several pages",
        prepare: |session| {
            opened(session)?;
            session.create_together(&[100; 4])?;
            session.close()
        },
        run: |session| {
            session.open()?;
            session.verify()
        },
    },
    Scenario { name: "closing what was written", prepare: written, run: Session::close },
    Scenario {
        name: "writing after a commit that failed",
        prepare: lost,
        run: |session| {
            session.create(1)?;
            session.create(2)
        },
    },
    Scenario {
        name: "writing after a commit that failed, beside another handle",
        prepare: |session| {
            lost(session)?;
            session.open_another()
        },
        run: |session| {
            session.create(1)?;
            session.read().map(drop)
        },
    },
    Scenario {
        name: "upgrade, then verify and write",
        prepare: written,
        run: |session| {
            session.upgrade(&REBUILDS)?;
            session.verify()?;
            session.create(2)
        },
    },
];

fn opened(session: &mut Session) -> Result<()> {
    two_datasets(session)?;
    session.open()
}

/// The log holds data that the file does not.
fn written(session: &mut Session) -> Result<()> {
    opened(session)?;
    session.create(30)?;
    session.create(1)
}

/// The handle abandoned its connection after a failed commit.
fn lost(session: &mut Session) -> Result<()> {
    written(session)?;
    session.disk.fail(Fault { kinds: vec![Kind::Sync], at: 1, cause: Cause::Io, lasting: false });
    let error = session.create(2).expect_err("its sync fails");
    session.disk.calm();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
    Ok(())
}

impl Session {
    fn open_read_only(&mut self) -> Result<()> {
        self.is_read_only = true;
        self.open()
    }

    /// Verifies without a finding: a failing disk is not damage.
    fn verify(&self) -> Result<()> {
        self.store().verify().map(|found| assert!(found.is_whole(), "{found:?}"))
    }

    /// What another handle finds in the file, or in a copy of it.
    pub(super) fn found_in(&self, file: &Path) -> Result<Found> {
        read(&Store::options().open_with_schema(file, self.schema)?.organization(self.organization))
    }

    /// Whether the handle, which is read-only, sees what another one writes from now on.
    pub(super) fn sees_what_others_write(&mut self) -> Result<bool> {
        let other = Store::open(&self.file)?.organization(self.organization);
        let created = other.create_dataset(request(1))?;
        let found = self.store().organization(self.organization).dataset(created.id)?;
        let outcome = Outcome::Acknowledged(vec![created.clone()]);
        self.note(0, Event::Creation(Creation { asked: vec![(created.id, 1)], outcome }));
        Ok(found == Some(created))
    }

    /// Makes a backup that equals the store, and removes it again.
    pub(super) fn back_up_and_forget(&self) -> Result<()> {
        let file = self.file.with_file_name("backup of afterwards");
        self.store().backup_to(&file)?;
        assert_eq!(self.found_in(&file)?, self.read()?);
        fs::remove_file(&file).unwrap();
        Ok(())
    }
}
