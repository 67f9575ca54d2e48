//! Edits a dataset as a form does: changes fields and the order of the KPIs, undoes a step, merges by field after a
//! conflict with another window, prints the history and reverts to an earlier version.
//!
//! ```text
//! cargo run --example edit_form
//! ```

use kpi_store::{
    Dataset, DatasetDiff, DatasetDraft, Error, HistoryQuery, NewDataset, NewKpi, Organization, OrganizationId, Overlap,
    Store, UserId,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("kpis.db");
    let organization_id = OrganizationId::new();
    // Two windows of an application, or two programs: each with a handle and a user of its own.
    let ours = Store::open(&path)?.organization(organization_id).acting_as(UserId::new());
    let theirs = Store::open(&path)?.organization(organization_id).acting_as(UserId::new());

    let created = ours.create_dataset(
        NewDataset::new("GRI 303: Watr")
            .kpi(NewKpi::new("Total water withdrawal").unit("m3"))
            .kpi(NewKpi::new("Total water discharge").unit("m³"))
            .kpi(NewKpi::new("Water stress assessed")),
    )?;

    let mut form = Form::open(&ours, &created);
    form.edit(|draft| draft.name = "GRI 303: Water".into());
    form.edit(|draft| draft.kpis[0].unit = Some("m³".into()));
    form.edit(|draft| draft.kpis[2].required = false);
    form.edit(|draft| draft.kpis.swap(0, 1));
    form.edit(|draft| draft.kpis.clear());
    // That was a mistake.
    form.undo();
    println!("unsaved changes: {}", form.is_changed());

    // Meanwhile the other window saves two fields: one that the form has not changed, and one that it has.
    let mut other = created.edit();
    other.description = Some("Withdrawal, discharge and stress".into());
    other.name = "GRI 303".into();
    theirs.save_dataset(&other)?;

    let saved = form.save()?;
    println!("saved as {:?} with {:?}", saved.name, saved.description);
    assert_eq!(saved.description.as_deref(), Some("Withdrawal, discharge and stress"));
    assert_eq!(saved.kpis.iter().map(|kpi| kpi.name.as_str()).next(), Some("Total water discharge"));
    assert!(!form.is_changed());

    println!("history:");
    for version in &ours.history(saved.id, &HistoryQuery::new())? {
        println!("  {}, {} at {}", version.revision, version.origin, version.changed_at);
        for line in version.diff.iter().flat_map(DatasetDiff::iter) {
            println!("     {line}");
        }
    }
    let reverted = ours.revert_dataset(&saved, 1)?;
    assert_eq!(reverted.name, created.name);
    println!("reverted to {:?}", reverted.name);
    Ok(())
}

/// The state of a form: the dataset that it was opened with, the draft, and the draft before each step, for undo.
struct Form<'a> {
    organization: &'a Organization,
    base: Dataset,
    draft: DatasetDraft,
    undo: Vec<DatasetDraft>,
}

impl<'a> Form<'a> {
    fn open(organization: &'a Organization, dataset: &Dataset) -> Self {
        Self { organization, base: dataset.clone(), draft: dataset.edit(), undo: Vec::new() }
    }

    fn edit(&mut self, step: impl FnOnce(&mut DatasetDraft)) {
        self.undo.push(self.draft.clone());
        step(&mut self.draft);
    }

    fn undo(&mut self) {
        if let Some(before) = self.undo.pop() {
            self.draft = before;
        }
    }

    fn is_changed(&self) -> bool {
        self.draft.differs_from(&self.base)
    }

    /// Saves the draft; after a conflict, the draft merged with the version that was saved meanwhile.
    fn save(&mut self) -> kpi_store::Result<Dataset> {
        loop {
            match self.organization.save_dataset(&self.draft) {
                Ok(saved) => {
                    *self = Self::open(self.organization, &saved);
                    return Ok(saved);
                }
                Err(Error::Conflict { dataset, .. }) => self.merge(dataset)?,
                Err(error) => return Err(error),
            }
        }
    }

    fn merge(&mut self, dataset: kpi_store::DatasetId) -> kpi_store::Result<()> {
        let Some(current) = self.organization.dataset(dataset)? else { return Err(Error::not_found(dataset)) };
        let merge = self.draft.merge(&self.base, &current);
        // A real form would ask. This one keeps what its user has typed, which the merged draft has.
        for overlap in &merge.overlaps {
            if let Overlap::Name { draft, current, .. } = overlap {
                println!("conflict: the name is {draft:?} here and {current:?} there; kept {draft:?}");
            }
        }
        (self.draft, self.base) = (merge.draft, current);
        // The drafts before the merge were made from the former base: saving one would be a conflict.
        self.undo.clear();
        Ok(())
    }
}
