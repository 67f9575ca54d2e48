//! The scenarios of what changes stored datasets: edits, the trash, the history. A call that is not here yet is added as
//! a method of the session that notes its effects.

use super::scenarios::{Scenario, two_datasets};
use super::session::Session;
use crate::{DatasetDraft, KpiId, NewKpi, Result, ValueType};

pub(super) static SCENARIOS: [Scenario; 18] = [
    Scenario {
        name: "save: fields, KPIs added, deleted and moved",
        prepare: three_datasets,
        run: |session| {
            session.open()?;
            session.save(0, rename)?;
            session.save(2, rearrange)?;
            session.save(0, add_and_change)
        },
    },
    Scenario {
        name: "update: fields, KPIs added, deleted and moved",
        prepare: three_datasets,
        run: |session| {
            session.open()?;
            session.update(2, rearrange)?;
            session.update(1, rename)?;
            session.update(2, rename)
        },
    },
    Scenario {
        name: "create_kpi in a small and in a large dataset",
        prepare: |session| {
            session.open()?;
            session.create_together(&[0, 150])?;
            session.close()
        },
        run: |session| {
            session.open()?;
            session.add_kpi(1)?;
            session.add_kpi(0)?;
            session.add_kpi(1)
        },
    },
    Scenario {
        name: "delete and restore",
        prepare: three_datasets,
        run: |session| {
            session.open()?;
            session.delete(&[1])?;
            session.create(1)?;
            session.restore(&[1])?;
            session.save(1, rename)?;
            session.delete(&[1])
        },
    },
    Scenario {
        name: "delete and restore several together",
        prepare: three_datasets,
        run: |session| {
            session.open()?;
            session.delete(&[2, 0])?;
            session.restore(&[0, 2])?;
            session.delete(&[0, 1, 2])
        },
    },
    Scenario {
        name: "purge a dataset with its history",
        prepare: |session| {
            three_datasets(session)?;
            session.open()?;
            session.save(2, rearrange)?;
            session.save(2, rename)?;
            session.delete(&[2, 1])?;
            session.close()
        },
        run: |session| {
            session.open()?;
            session.purge(2)?;
            session.create(1)?;
            session.restore(&[1])
        },
    },
    Scenario {
        name: "purge the trash",
        prepare: |session| {
            three_datasets(session)?;
            session.open()?;
            session.create(100)?;
            session.save(0, rename)?;
            session.delete(&[3, 0, 1])?;
            session.close()
        },
        run: |session| {
            session.open()?;
            session.purge_trash()?;
            session.save(2, rename)?;
            session.delete(&[2])?;
            session.purge_trash()
        },
    },
    Scenario {
        name: "revert",
        prepare: edited_thrice,
        run: |session| {
            session.open()?;
            session.revert(2, 1)?;
            session.revert(2, 3)?;
            session.save(2, rename)
        },
    },
    Scenario {
        name: "prune of one history, and of all",
        prepare: |session| {
            edited_thrice(session)?;
            session.open()?;
            session.delete(&[2])?;
            session.restore(&[2])?;
            session.save(0, rename)?;
            session.close()
        },
        run: |session| {
            session.open()?;
            session.prune(Some(2), 3)?;
            session.save(2, rename)?;
            session.prune(None, 1)?;
            session.save(0, add_and_change)
        },
    },
    Scenario {
        name: "changes that change nothing",
        prepare: edited_thrice,
        run: |session| {
            session.open()?;
            session.save(2, |_| {})?;
            session.update(0, |_| {})?;
            session.revert(2, 4)?;
            session.prune(None, 10)?;
            session.purge_trash()?;
            session.save(1, rename)
        },
    },
    Scenario {
        name: "changes in a group that share a commit",
        prepare: three_datasets,
        run: |session| {
            session.open()?;
            session.save(2, rename)?;
            session.change_in_a_group()?;
            session.restore(&[2])?;
            session.change_in_a_group()
        },
    },
    Scenario {
        name: "properties set, replaced and removed",
        prepare: |session| {
            session.open()?;
            session.set_properties(&["cursor", "map", "old"], Some(b"1"))?;
            session.close()
        },
        run: |session| {
            session.open()?;
            session.set_properties(&["cursor", "map"], Some(b"2"))?;
            session.create(2)?;
            session.set_properties(&["new", "map"], Some(&[3; 20_000]))?;
            session.set_properties(&["old", "map"], None)?;
            session.set_properties(&["cursor", "old"], Some(b"4"))?;
            session.close()
        },
    },
    Scenario {
        name: "properties and creates in a group that share a commit",
        prepare: |session| {
            two_datasets(session)?;
            session.open()?;
            session.set_properties(&["cursor", "map"], Some(b"1"))?;
            session.close()
        },
        run: |session| {
            session.open()?;
            session.set_properties_in_a_group("2")?;
            session.save(0, rename)?;
            session.set_properties_in_a_group("3")
        },
    },
    Scenario {
        name: "changes by two handles in turn",
        prepare: three_datasets,
        run: |session| {
            session.open()?;
            session.open_another()?;
            session.save(0, rename)?;
            session.change_places();
            session.save(0, add_and_change)?;
            session.delete(&[1])?;
            session.change_places();
            session.restore(&[1])?;
            session.update(2, rearrange)?;
            session.close()
        },
    },
    Scenario {
        name: "changes with a log that begins anew",
        prepare: |session| {
            session.open()?;
            session.create_together(&[100, 2])?;
            session.close()
        },
        run: |session| {
            session.open()?;
            session.save(0, rename_kpis)?;
            session.save(0, rename_kpis)?;
            session.delete(&[0])?;
            session.checkpoint()?;
            session.save(1, rename)?;
            session.restore(&[0])?;
            session.save(0, rename_kpis)
        },
    },
    Scenario {
        name: "changes, close and open again",
        prepare: three_datasets,
        run: |session| {
            session.open()?;
            session.save(0, rename)?;
            session.delete(&[1])?;
            session.close()?;
            session.open()?;
            session.revert(0, 1)?;
            session.purge(1)?;
            session.close()
        },
    },
    Scenario {
        name: "accept, then edit, revert and delete",
        prepare: |session| {
            two_datasets(session)?;
            session.alter(2);
            Ok(())
        },
        run: |session| {
            session.open()?;
            session.accept()?;
            session.save(0, rename)?;
            session.accept()?;
            session.revert(0, 2)?;
            session.delete(&[0])
        },
    },
    Scenario {
        name: "delete and purge of a damaged dataset",
        prepare: |session| {
            two_datasets(session)?;
            session.alter(1);
            Ok(())
        },
        run: |session| {
            session.open()?;
            session.delete(&[0])?;
            session.save(2, rename)?;
            session.purge(0)?;
            session.create(1)
        },
    },
];

/// Those whose images are expensive to check.
pub(super) static LARGE: [Scenario; 1] = [Scenario {
    name: "an edit whose history is stored in several parts",
    prepare: |session| {
        session.open()?;
        session.create_together(&[1, 170])?;
        session.save(1, describe_kpis)?;
        session.close()
    },
    run: |session| {
        session.open()?;
        session.save(1, |draft| draft.kpis.clear())?;
        session.save(0, rename)
    },
}];

pub(super) fn three_datasets(session: &mut Session) -> Result<()> {
    session.open()?;
    session.create(2)?;
    session.create_together(&[0, 5])?;
    session.close()
}

/// The third dataset has four versions.
fn edited_thrice(session: &mut Session) -> Result<()> {
    three_datasets(session)?;
    session.open()?;
    session.save(2, rearrange)?;
    session.save(2, rename)?;
    session.save(2, add_and_change)?;
    session.close()
}

pub(super) fn rename(draft: &mut DatasetDraft) {
    draft.name.push('!');
    draft.description = Some(format!("Renamed to {}", draft.name));
}

/// Deletes, moves, changes and adds KPIs, as far as there are any.
fn rearrange(draft: &mut DatasetDraft) {
    if draft.kpis.len() > 2 {
        draft.kpis.remove(1);
        draft.kpis.rotate_left(1);
        draft.kpis[0].value_type = ValueType::Percentage;
    }
    let place = draft.kpis.len() / 2;
    draft.kpis.insert(place, new_kpi("Between").into());
}

fn add_and_change(draft: &mut DatasetDraft) {
    if let Some(kpi) = draft.kpis.first_mut() {
        kpi.unit = Some("kWh".to_owned());
    }
    draft.kpis.extend(["Behind", "Last"].map(|name| new_kpi(name).into()));
}

fn rename_kpis(draft: &mut DatasetDraft) {
    draft.kpis.iter_mut().for_each(|kpi| kpi.name.push('!'));
}

fn describe_kpis(draft: &mut DatasetDraft) {
    draft.kpis.iter_mut().for_each(|kpi| kpi.description = Some("Long. ".repeat(300)));
}

fn new_kpi(name: &str) -> NewKpi {
    NewKpi::new(name).unit("t").id(KpiId::new())
}
