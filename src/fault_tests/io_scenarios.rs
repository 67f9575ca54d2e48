//! What is done to a store while operations fail, beside the scenarios of power cuts: what only reads, and what begins
//! with handles that are open already.

use std::fs;
use std::path::Path;

use kpi_store_fault_vfs::{Cause, Fault, Kind};

use super::scenarios::{Scenario, two_datasets};
use super::scene::{Event, Fate, Scene, request};
use crate::sqlite::opening::upgrade_tests::schemas::REBUILDS;
use crate::{Dataset, DatasetQuery, Error, Result, Store};

pub(super) const SCENARIOS: [Scenario; 10] = [
    Scenario { name: "opening what is up to date", prepare: two_datasets, run: |scene| scene.open() },
    Scenario {
        name: "opening for reading only, and reading",
        prepare: two_datasets,
        run: |scene| {
            scene.open_read_only()?;
            scene.read().map(drop)
        },
    },
    Scenario {
        name: "opening for reading only beside a writer, and reading",
        prepare: |scene| {
            two_datasets(scene)?;
            scene.open_another()?;
            scene.open()?;
            scene.create(1)
        },
        run: |scene| {
            scene.open_read_only()?;
            scene.read().map(drop)
        },
    },
    Scenario {
        name: "reading and writing by an open handle",
        prepare: opened,
        run: |scene| {
            scene.read()?;
            scene.create(3)?;
            scene.create_together(&[0, 40, 1])?;
            scene.read().map(drop)
        },
    },
    Scenario {
        name: "verify and backup by an open handle",
        prepare: opened,
        run: |scene| {
            scene.verify()?;
            scene.back_up("copy")
        },
    },
    Scenario {
        name: "verify of trees of several pages",
        prepare: |scene| {
            opened(scene)?;
            scene.create_together(&[100; 4])?;
            scene.close()
        },
        run: |scene| {
            scene.open()?;
            scene.verify()
        },
    },
    Scenario { name: "closing what was written", prepare: written, run: Scene::close },
    Scenario {
        name: "writing after a commit that failed",
        prepare: lost,
        run: |scene| {
            scene.create(1)?;
            scene.create(2)
        },
    },
    Scenario {
        name: "writing after a commit that failed, beside another handle",
        prepare: |scene| {
            lost(scene)?;
            scene.open_another()
        },
        run: |scene| {
            scene.create(1)?;
            scene.read().map(drop)
        },
    },
    Scenario {
        name: "upgrade, then verify and write",
        prepare: written,
        run: |scene| {
            scene.upgrade(&REBUILDS)?;
            scene.verify()?;
            scene.create(2)
        },
    },
];

fn opened(scene: &mut Scene) -> Result<()> {
    two_datasets(scene)?;
    scene.open()
}

/// The log holds what the file does not.
fn written(scene: &mut Scene) -> Result<()> {
    opened(scene)?;
    scene.create(30)?;
    scene.create(1)
}

/// The handle lost its connection with a commit that failed.
fn lost(scene: &mut Scene) -> Result<()> {
    written(scene)?;
    scene.disk.fail(Fault { kinds: vec![Kind::Sync], at: 1, cause: Cause::Io, lasting: false });
    let error = scene.create(2).expect_err("its sync fails");
    scene.disk.calm();
    assert!(matches!(error, Error::OutcomeUnknown { .. }), "{error:?}");
    Ok(())
}

impl Scene {
    fn open_read_only(&mut self) -> Result<()> {
        self.is_read_only = true;
        self.open()
    }

    /// Verifies, and finds nothing: a disk that fails is no damage.
    fn verify(&self) -> Result<()> {
        self.store().verify().map(|found| assert!(found.is_whole(), "{found:?}"))
    }

    /// Whether nobody holds the lock for writing.
    pub(super) fn is_unlocked(&self) -> bool {
        let plain = rusqlite::Connection::open(&self.file).unwrap();
        plain.busy_timeout(std::time::Duration::ZERO).unwrap();
        plain.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_ok()
    }

    /// What another handle finds in the file, or in a copy of it, as any program opens it.
    pub(super) fn found_in(&self, file: &Path) -> Result<Vec<Dataset>> {
        let store = Store::options().open_with_schema(file, self.schema)?;
        store.organization(self.organization).iter_datasets(&DatasetQuery::new()).collect()
    }

    /// Whether the handle, which only reads, sees what another writes from now on.
    pub(super) fn sees_what_others_write(&mut self) -> Result<bool> {
        let other = Store::open(&self.file)?.organization(self.organization);
        let created = other.create_dataset(request(1))?;
        let found = self.store().organization(self.organization).dataset(created.id)?;
        let fate = Fate::Acknowledged(vec![created.clone()]);
        self.note(0, Event::Creation { asked: vec![(created.id, 1)], fate });
        Ok(found == Some(created))
    }

    /// Makes a copy that holds what the store does, and removes it again.
    pub(super) fn back_up_and_forget(&self) -> Result<()> {
        let file = self.file.with_file_name("backup of afterwards");
        self.store().backup_to(&file)?;
        assert_eq!(self.found_in(&file)?, self.read()?);
        fs::remove_file(&file).unwrap();
        Ok(())
    }
}
