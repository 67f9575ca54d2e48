//! Changing a dataset: saving a draft, or applying a patch.

use super::change::refused;
use crate::error::Result;
use crate::model::change::Edit;
use crate::model::content::Refusal;
use crate::model::dataset::Dataset;
use crate::model::draft::DatasetDraft;
use crate::model::ids::DatasetId;
use crate::model::patch::DatasetPatch;
use crate::model::record::Record;
use crate::model::version::Origin;
use crate::sqlite::table::change;
use crate::store::organization::Organization;

impl Organization {
    /// Saves a draft: gives its dataset the fields and the list of KPIs of the draft, in one transaction.
    ///
    /// The draft was made [from a version of the dataset](Dataset::edit) and is saved only if that is still the stored
    /// version, so that nobody's change is lost. It is taken by reference: after a [`Conflict`](crate::Error::Conflict)
    /// the caller still has the draft, to [merge](DatasetDraft::merge) it with the other change and to save the result.
    ///
    /// The order of the list is the display order. If the list keeps the KPIs that stay in their order, with added ones
    /// at its end, the former keep their `sort_order` and each added one gets that of the KPI before it plus one;
    /// otherwise all become 0, 1, 2, and so on. A KPI whose id the dataset does not have is added with that id, so that
    /// a deleted KPI can be added again.
    ///
    /// The revision is incremented, and `updated_at` and `updated_by` are set. The `updated_at` of a KPI is set only if
    /// its own fields change. A draft that changes nothing writes nothing and returns the dataset as it is.
    ///
    /// # Errors
    ///
    /// - [`Invalid`](crate::Error::Invalid) lists every field of the draft that breaks the contract; a path such as
    ///   `kpis[3].unit` names the row of the draft.
    /// - [`NotFound`](crate::Error::NotFound) if the dataset does not exist any more, or is in the trash.
    /// - [`Corrupt`](crate::Error::Corrupt) if it is damaged.
    /// - [`Conflict`](crate::Error::Conflict) if it was changed since the draft was made.
    /// - [`OutcomeUnknown`](crate::Error::OutcomeUnknown) carries the `updated_at` that was written: the change is
    ///   stored if [`version_at`](Self::version_at) finds it.
    /// - Those of [`create_dataset`](Self::create_dataset) that do not concern the request.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, NewKpi, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let dataset = organization.create_dataset(NewDataset::new("Watr").kpi(NewKpi::new("Withdrawal")))?;
    ///
    /// let mut draft = dataset.edit();
    /// draft.name = "Water".into();
    /// draft.kpis[0].unit = Some("m³".into());
    /// draft.kpis.insert(0, NewKpi::new("Discharge").into());
    /// let saved = organization.save_dataset(&draft)?;
    ///
    /// let names: Vec<_> = saved.kpis.iter().map(|kpi| kpi.name.as_str()).collect();
    /// assert_eq!((saved.name.as_str(), &names[..]), ("Water", &["Discharge", "Withdrawal"][..]));
    /// assert_eq!(organization.save_dataset(&draft).unwrap_err().code(), "conflict");
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn save_dataset(&self, draft: &DatasetDraft) -> Result<Dataset> {
        draft.validate()?;
        let draft = draft.clone();
        let bytes = draft.kpis.len() * BYTES_OF_A_KPI;
        self.edit(draft.id(), bytes, move |organization| {
            let draft = draft.with_ids(organization.store.ids());
            move |current: &Record| Ok(Edit::new(current, draft.content(&current.dataset)?))
        })
    }

    /// Applies a few changes to a dataset in one transaction, as one revision.
    ///
    /// Without [`if_unchanged`](DatasetPatch::if_unchanged) the patch is applied to whatever is stored. The changes are
    /// made in this order: fields, deleted KPIs, updated ones, added ones, order. Revision, times and users are set as
    /// by [`save_dataset`](Self::save_dataset), and a patch that changes nothing writes nothing.
    ///
    /// # Errors
    ///
    /// - [`Invalid`](crate::Error::Invalid) lists everything in the patch that breaks the contract or contradicts
    ///   itself, or says that the dataset would have more than 10,000 KPIs.
    /// - [`NotFound`](crate::Error::NotFound) if the dataset or a KPI of the patch does not exist.
    /// - [`Conflict`](crate::Error::Conflict) if the patch has a condition that does not hold.
    /// - [`AlreadyExists`](crate::Error::AlreadyExists) if the dataset has a KPI with the id of an added one.
    /// - The others of [`save_dataset`](Self::save_dataset).
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{DatasetPatch, KpiPatch, NewDataset, NewKpi, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let dataset = organization.create_dataset(NewDataset::new("Water").kpi(NewKpi::new("Withdrawal")))?;
    /// let patch = DatasetPatch::new()
    ///     .update_kpi(dataset.kpis[0].id, KpiPatch::new().unit("m³"))
    ///     .add_kpi(NewKpi::new("Discharge").unit("m³"));
    /// let updated = organization.update_dataset(dataset.id, patch)?;
    /// assert!(updated.kpis.iter().all(|kpi| kpi.unit.as_deref() == Some("m³")));
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn update_dataset(&self, id: DatasetId, patch: DatasetPatch) -> Result<Dataset> {
        patch.validate()?;
        self.edit(id, 0, move |organization| {
            let patch = patch.with_ids(organization.store.ids());
            move |current: &Record| Ok(Edit::new(current, patch.content(&current.dataset)?))
        })
    }

    /// Changes the content of a dataset. `prepare` runs before the transaction, since it asks for ids; the function
    /// that it returns runs in the transaction and makes the change from the stored record.
    fn edit<F>(&self, id: DatasetId, bytes: usize, prepare: impl FnOnce(&Self) -> F) -> Result<Dataset>
    where
        F: Fn(&Record) -> Result<Option<Edit>, Refusal> + Send + 'static,
    {
        // The clock before the ids, as for a create.
        let author = self.author()?;
        let make_change = prepare(self);
        self.change(
            vec![id],
            bytes,
            |dataset: &Dataset| dataset.updated_at,
            move |transaction| {
                change::update(transaction, author, id, Origin::Edited, |stored| {
                    make_change(&stored.record).map_err(|refusal| refused(&stored.record.dataset, refusal).into())
                })
            },
        )
    }
}

/// An estimate of the bytes in the row of a KPI with short texts.
pub(super) const BYTES_OF_A_KPI: usize = 256;
