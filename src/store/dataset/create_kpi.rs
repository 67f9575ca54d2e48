//! Adding a KPI to a stored dataset.

use crate::error::Result;
use crate::model::dataset::Kpi;
use crate::model::ids::DatasetId;
use crate::model::new_dataset::NewKpi;
use crate::model::request::validation::check_total;
use crate::sqlite::table::change;
use crate::store::organization::Organization;

impl Organization {
    /// Adds a KPI to a dataset: the REST operation *Create Kpi* (`POST /v1/custom-kpi-datasets/{dataset_id}/kpis`).
    ///
    /// The new KPI is the last among those with its `sort_order`. The revision of the dataset is incremented, and its
    /// `updated_at` and `updated_by` are set. The call costs the same however many KPIs the dataset has; therefore only
    /// the fields of the dataset itself are checked for damage, not its other KPIs.
    ///
    /// # Errors
    ///
    /// - [`Invalid`](crate::Error::Invalid) lists every field that breaks the contract, or says that the dataset
    ///   already has 10,000 KPIs.
    /// - [`NotFound`](crate::Error::NotFound) if this organization has no dataset with this id.
    /// - [`AlreadyExists`](crate::Error::AlreadyExists) if the dataset has a KPI with the given id.
    /// - Those of [`create_dataset`](Self::create_dataset) that do not concern the request.
    ///
    /// # Examples
    ///
    /// ```
    /// # use kpi_store::{NewDataset, NewKpi, OrganizationId, Store};
    /// # let organization = Store::open_in_memory()?.organization(OrganizationId::new());
    /// let dataset = organization.create_dataset(NewDataset::new("Water"))?;
    /// let new = NewKpi::from_json(r#"{"name": "Withdrawal", "unit": "m³"}"#)?;
    /// let kpi = organization.create_kpi(dataset.id, new)?;
    /// assert_eq!(organization.dataset(dataset.id)?.unwrap().kpis, [kpi]);
    /// # Ok::<(), kpi_store::Error>(())
    /// ```
    pub fn create_kpi(&self, dataset: DatasetId, new: NewKpi) -> Result<Kpi> {
        new.validate()?;
        let author = self.author()?;
        let id = new.id.unwrap_or_else(|| self.store.ids().ids(1).next());
        self.change(
            vec![dataset],
            0,
            |kpi: &Kpi| Some(kpi.created_at),
            move |transaction| {
                change::add_kpi(transaction, author, dataset, |count, token| {
                    check_total(count + 1)?;
                    Ok(Kpi::new(id, new.clone(), dataset, token))
                })
            },
        )
    }
}
