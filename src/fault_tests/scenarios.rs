//! The one list of what is done to a store while the disk fails or the power is cut.

use std::fs;

use super::scene::Scene;
use crate::Result;
use crate::sqlite::opening::upgrade_tests::schemas::{ADDS_A_COLUMN, REBUILDS};

pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// What was there before, closed and durable.
    pub(super) prepare: fn(&mut Scene) -> Result<()>,
    pub(super) run: fn(&mut Scene) -> Result<()>,
}

pub(super) const SCENARIOS: [Scenario; 19] = [
    Scenario { name: "first opening", prepare: nothing, run: |scene| scene.open() },
    Scenario {
        name: "first opening, create, close, the same again",
        prepare: nothing,
        run: |scene| {
            for _ in 0..2 {
                scene.open()?;
                scene.create(1)?;
                scene.close()?;
            }
            Ok(())
        },
    },
    Scenario { name: "create without KPIs", prepare: two_datasets, run: |scene| open_and_create(scene, &[0, 0, 0]) },
    Scenario { name: "create with a KPI", prepare: two_datasets, run: |scene| open_and_create(scene, &[1, 1, 1]) },
    Scenario { name: "create with 100 KPIs", prepare: two_datasets, run: |scene| open_and_create(scene, &[100, 100]) },
    Scenario {
        name: "batch",
        prepare: two_datasets,
        run: |scene| {
            scene.open()?;
            scene.create_together(&[2, 0, 30])?;
            scene.create_together(&[1, 1])
        },
    },
    Scenario {
        name: "group of writers that share a commit",
        prepare: two_datasets,
        run: |scene| {
            scene.open()?;
            scene.create_in_a_group(&[1, 0, 30, 2])?;
            scene.create(1)?;
            scene.create_in_a_group(&[0, 1])
        },
    },
    Scenario {
        name: "load in one transaction",
        prepare: two_datasets,
        run: |scene| {
            scene.open()?;
            scene.load(&[1, 0, 60, 2], None)?;
            scene.create(1)
        },
    },
    Scenario {
        name: "load in batches",
        prepare: two_datasets,
        run: |scene| {
            scene.open()?;
            scene.load(&[1, 0, 30, 2, 1], Some(2))
        },
    },
    Scenario {
        name: "accept",
        prepare: |scene| {
            two_datasets(scene)?;
            scene.alter(2);
            Ok(())
        },
        run: |scene| {
            scene.open()?;
            scene.accept()?;
            scene.create(1)?;
            scene.accept()
        },
    },
    Scenario {
        name: "checkpoint by a second handle, and the log from its start again",
        prepare: two_datasets,
        run: |scene| {
            scene.open()?;
            scene.create(3)?;
            scene.create(3)?;
            scene.open_another()?;
            scene.close_another()?;
            scene.create(1)?;
            scene.open_another()?;
            scene.close_another()?;
            scene.create(1)?;
            scene.create(40)
        },
    },
    Scenario {
        name: "close and open again",
        prepare: two_datasets,
        run: |scene| {
            scene.open()?;
            scene.create(2)?;
            scene.close()?;
            scene.open()?;
            scene.create(2)?;
            scene.close()
        },
    },
    Scenario {
        name: "read and list",
        prepare: two_datasets,
        run: |scene| {
            scene.open()?;
            scene.read()?;
            scene.create(1)?;
            scene.read()?;
            scene.store().verify()?;
            Ok(())
        },
    },
    Scenario {
        name: "backup between creates",
        prepare: two_datasets,
        run: |scene| {
            scene.open()?;
            scene.create(1)?;
            scene.back_up("first.copy")?;
            scene.create(1)?;
            scene.back_up("second.copy")
        },
    },
    Scenario {
        name: "opening a backup in the place of the file",
        prepare: |scene| {
            two_datasets(scene)?;
            scene.open()?;
            scene.store().backup_to(scene.file.with_file_name("copy"))?;
            scene.close()?;
            fs::rename(scene.file.with_file_name("copy"), &scene.file).unwrap();
            Ok(())
        },
        run: |scene| open_and_create(scene, &[1]),
    },
    Scenario {
        name: "upgrade that adds a column",
        prepare: two_datasets,
        run: |scene| {
            scene.upgrade(&ADDS_A_COLUMN)?;
            scene.create(1)
        },
    },
    Scenario {
        name: "upgrade that rebuilds a table",
        prepare: two_datasets,
        run: |scene| {
            scene.upgrade(&REBUILDS)?;
            scene.create(1)?;
            scene.close()
        },
    },
    Scenario {
        name: "upgrade beside a log",
        prepare: two_datasets,
        run: |scene| {
            scene.open()?;
            scene.create(2)?;
            scene.upgrade(&REBUILDS)
        },
    },
    Scenario {
        name: "two handles in turn",
        prepare: two_datasets,
        run: |scene| {
            scene.open()?;
            scene.create(1)?;
            scene.open_another()?;
            scene.read()?;
            scene.create(1)?;
            scene.close()
        },
    },
];

#[allow(clippy::unnecessary_wraps, reason = "one of several of this kind")]
fn nothing(_: &mut Scene) -> Result<()> {
    Ok(())
}

pub(super) fn two_datasets(scene: &mut Scene) -> Result<()> {
    scene.open()?;
    scene.create(2)?;
    scene.create_together(&[0, 3])?;
    scene.close()
}

fn open_and_create(scene: &mut Scene, kpis: &[usize]) -> Result<()> {
    scene.open()?;
    kpis.iter().try_for_each(|kpis| scene.create(*kpis))
}
