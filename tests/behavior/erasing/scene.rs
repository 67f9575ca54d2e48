//! A random scene: two organizations, two handles, every call that removes or replaces a text.

use std::collections::BTreeSet;

use kpi_store::{
    Dataset, DatasetId, DatasetPatch, HistoryKeep, HistoryQuery, KpiPatch, NewDataset, NewKpi, Organization,
    OrganizationId, Store,
};

use super::bytes::{FOUND_IN_PARTS, Marker, bytes_beside, contains, markers_beside, markers_in};
use crate::support::{Random, TestFile, folder_in_memory, listed};

pub(super) struct Scene {
    random: Random,
    stores: [Store; 2],
    organizations: [OrganizationId; 2],
    datasets: Vec<Known>,
    properties: Vec<Property>,
    next: u32,
    short: BTreeSet<Marker>,
    /// What no call returns any more.
    pub(super) gone: BTreeSet<Marker>,
    what: String,
    // The last, so that no store is open when its folder is removed: another file may get its inode.
    file: TestFile,
}

/// A dataset, and every marker that it has had.
struct Known {
    organization: OrganizationId,
    id: DatasetId,
    markers: BTreeSet<Marker>,
    is_deleted: bool,
}

/// A property, with the markers of its key and of its content.
struct Property {
    organization: OrganizationId,
    key: String,
    markers: [Marker; 2],
}

impl Scene {
    pub(super) fn play(seed: u64) -> Self {
        let file = TestFile::in_memory();
        let stores = [(); 2].map(|()| Store::open(&file.path).unwrap());
        let mut scene = Self {
            random: Random::new(seed),
            file,
            stores,
            organizations: [(); 2].map(|()| OrganizationId::new()),
            datasets: Vec::new(),
            properties: Vec::new(),
            next: 0,
            short: BTreeSet::new(),
            gone: BTreeSet::new(),
            what: format!("seed {seed}"),
        };
        for _ in 0..80 {
            scene.step();
        }
        if scene.random.percent(50) {
            scene.purge_organization();
            (0..10).for_each(|_| scene.step());
        }
        scene
    }

    /// Returns what was left before the compaction.
    pub(super) fn compact_and_check(mut self) -> BTreeSet<Marker> {
        let what = self.what.clone();
        let left = markers_beside(&self.file.path).intersection(&self.gone).copied().collect();
        self.store().compact().unwrap();

        let bytes = bytes_beside(&self.file.path);
        let found = markers_in(&bytes);
        assert_eq!(found.intersection(&self.gone).count(), 0, "{what}: in the file or its log");
        // What is in the trash can be seen only once it is restored.
        for known in self.datasets.iter().filter(|known| known.is_deleted) {
            self.stores[0].organization(known.organization).restore_dataset(known.id).unwrap();
        }
        let mut shown = BTreeSet::new();
        for known in &self.datasets {
            let ours = self.stores[1].organization(known.organization);
            shown.extend(markers_of(&ours.dataset(known.id).unwrap().unwrap()));
            for version in ours.history(known.id, &HistoryQuery::new().limit(1_000)).unwrap() {
                shown.extend(markers_of(&version.dataset));
            }
        }
        for Property { organization, key, markers } in &self.properties {
            assert!(self.stores[1].organization(*organization).property(key).unwrap().is_some(), "{what}");
            shown.extend(markers);
        }
        let hidden: Vec<_> = found.difference(&shown).collect();
        assert_eq!(hidden, Vec::<&Marker>::new(), "{what}: in the file, and no call returns it");
        // A text that continues on another page is in two parts. One of them is found unless both are short.
        let lost: Vec<_> = shown.difference(&found).filter(|marker| !self.short.contains(marker)).collect();
        assert_eq!(lost, Vec::<&Marker>::new(), "{what}: a call returns it, and it is not in the file");
        for store in &self.stores {
            let verification = store.verify().unwrap();
            assert!(verification.is_whole(), "{what}: {:?}", verification.findings);
        }
        left
    }

    fn step(&mut self) {
        match self.random.below(23) {
            0..=5 => self.create(),
            6..=12 => self.edit(),
            13 => self.prune(),
            14..=15 => self.delete(),
            16 => self.restore(),
            17..=18 => self.purge(),
            19..=21 => self.set_properties(),
            _ => self.back_up_or_compact(),
        }
    }

    fn create(&mut self) {
        let organization = self.organizations[self.random.below(2)];
        let mut markers = BTreeSet::new();
        let mut new = NewDataset::new(self.text(&mut markers, 255));
        if self.random.percent(50) {
            new = new.description(self.text(&mut markers, 2_000));
        }
        for _ in 0..self.random.below(6) {
            new = new.kpi(self.kpi(&mut markers));
        }
        let id = self.store().organization(organization).create_dataset(new).unwrap().id;
        self.datasets.push(Known { organization, id, markers, is_deleted: false });
    }

    /// Replaces some of the texts, by a draft or a patch.
    fn edit(&mut self) {
        let Some(index) = self.pick(false) else { return };
        let ours = self.organization_of(index);
        let dataset = ours.dataset(self.datasets[index].id).unwrap().unwrap();
        let mut markers = BTreeSet::new();
        match self.random.below(3) {
            0 => {
                let mut draft = dataset.edit();
                draft.name = self.text(&mut markers, 255);
                draft.description = self.random.percent(70).then(|| self.text(&mut markers, 2_000));
                if !draft.kpis.is_empty() {
                    let place = self.random.below(draft.kpis.len());
                    draft.kpis.swap(0, place);
                    draft.kpis[place].description = Some(self.text(&mut markers, 2_000));
                    if self.random.percent(40) {
                        draft.kpis.remove(place);
                    }
                }
                // One that was removed again was never written.
                markers = texts_of(draft.kpis.iter().map(|kpi| kpi.description.as_deref()))
                    .chain(texts_of([Some(draft.name.as_str()), draft.description.as_deref()]))
                    .collect();
                ours.save_dataset(&draft).unwrap();
            }
            1 => {
                let new = self.kpi(&mut markers);
                ours.create_kpi(dataset.id, new).unwrap();
            }
            _ => {
                let mut patch = DatasetPatch::new().add_kpi(self.kpi(&mut markers));
                for kpi in &dataset.kpis {
                    patch = match self.random.below(3) {
                        0 => patch.delete_kpi(kpi.id),
                        1 => patch.update_kpi(kpi.id, KpiPatch::new().name(self.text(&mut markers, 255)).clear_unit()),
                        _ => patch,
                    };
                }
                ours.update_dataset(dataset.id, patch).unwrap();
            }
        }
        self.datasets[index].markers.extend(markers);
    }

    fn prune(&mut self) {
        let Some(index) = self.pick(false) else { return };
        let (ours, id) = (self.organization_of(index), self.datasets[index].id);
        if self.random.percent(70) {
            ours.prune_history(&HistoryKeep::new().last(1).of(id)).unwrap();
            self.keep_present(index);
            return;
        }
        ours.prune_history(&HistoryKeep::new().last(1)).unwrap();
        for index in 0..self.datasets.len() {
            if self.datasets[index].organization == ours.id() && !self.datasets[index].is_deleted {
                self.keep_present(index);
            }
        }
    }

    fn keep_present(&mut self, index: usize) {
        let present = self.organization_of(index).dataset(self.datasets[index].id).unwrap().unwrap();
        let present = markers_of(&present).collect();
        let before = std::mem::replace(&mut self.datasets[index].markers, present);
        self.gone.extend(before.difference(&self.datasets[index].markers));
    }

    fn delete(&mut self) {
        let Some(index) = self.pick(false) else { return };
        self.organization_of(index).delete_dataset(self.datasets[index].id).unwrap();
        self.datasets[index].is_deleted = true;
    }

    fn restore(&mut self) {
        let Some(index) = self.pick(true) else { return };
        self.organization_of(index).restore_dataset(self.datasets[index].id).unwrap();
        self.datasets[index].is_deleted = false;
    }

    fn purge(&mut self) {
        let Some(index) = self.pick(true) else { return };
        self.organization_of(index).purge_dataset(self.datasets[index].id).unwrap();
        self.gone.extend(self.datasets.swap_remove(index).markers);
    }

    /// Adds a property, and replaces or removes another.
    fn set_properties(&mut self) {
        let organization = self.organizations[self.random.below(2)];
        let (mut of_key, mut of_content) = (BTreeSet::new(), BTreeSet::new());
        let (key, content) = (self.text(&mut of_key, 255), self.text(&mut of_content, 4_000));
        let mut set = vec![(key.clone(), Some(content))];
        let of_organization = |property: &Property| property.organization == organization;
        if let Some(place) = self.properties.iter().position(of_organization) {
            let old = self.properties.swap_remove(place);
            let mut markers = BTreeSet::new();
            let content = self.random.percent(50).then(|| self.text(&mut markers, 4_000));
            self.gone.insert(old.markers[1]);
            match markers.pop_first() {
                Some(content) => {
                    let markers = [old.markers[0], content];
                    self.properties.push(Property { key: old.key.clone(), markers, ..old });
                }
                None => self.gone.extend(old.markers),
            }
            set.push((old.key, content));
        }
        let set = set.iter().map(|(key, content)| (key, content.as_deref().map(str::as_bytes)));
        self.store().organization(organization).set_properties(set).unwrap();
        let markers = [of_key, of_content].map(|mut markers| markers.pop_first().unwrap());
        self.properties.push(Property { organization, key, markers });
    }

    fn back_up_or_compact(&mut self) {
        if self.random.percent(60) {
            let folder = folder_in_memory();
            self.store().backup_to(folder.path().join("copy")).unwrap();
        } else {
            let before = self.organizations.map(|id| listed(&self.stores[0].organization(id)));
            self.store().compact().unwrap();
            assert_eq!(self.organizations.map(|id| listed(&self.stores[1].organization(id))), before, "{}", self.what);
        }
    }

    fn purge_organization(&mut self) {
        let id = self.organizations[self.random.below(2)];
        self.store().purge_organization(id).unwrap();
        let (purged, kept) = std::mem::take(&mut self.datasets).into_iter().partition(|known| known.organization == id);
        self.datasets = kept;
        let purged: Vec<Known> = purged;
        self.gone.extend(purged.into_iter().flat_map(|known| known.markers));
        let (purged, kept) =
            std::mem::take(&mut self.properties).into_iter().partition(|property| property.organization == id);
        self.properties = kept;
        let purged: Vec<Property> = purged;
        self.gone.extend(purged.into_iter().flat_map(|property| property.markers));
        let bytes = bytes_beside(&self.file.path);
        assert!(!contains(&bytes, &uuid::Uuid::from(id).into_bytes()), "{}: the id of the organization", self.what);
        assert!(markers_in(&bytes).is_disjoint(&self.gone), "{}", self.what);
        self.organizations = self.organizations.map(|other| if other == id { OrganizationId::new() } else { other });
    }

    /// Any dataset that is in the trash, or that is not.
    fn pick(&mut self, is_deleted: bool) -> Option<usize> {
        let all: Vec<_> =
            (0..self.datasets.len()).filter(|index| self.datasets[*index].is_deleted == is_deleted).collect();
        if all.is_empty() { None } else { Some(all[self.random.below(all.len())]) }
    }

    fn organization_of(&mut self, index: usize) -> Organization {
        self.store().organization(self.datasets[index].organization)
    }

    fn store(&mut self) -> Store {
        self.stores[self.random.below(2)].clone()
    }

    fn kpi(&mut self, markers: &mut BTreeSet<Marker>) -> NewKpi {
        let mut kpi = NewKpi::new(self.text(markers, 255));
        if self.random.percent(50) {
            kpi = kpi.description(self.text(markers, 2_000));
        }
        if self.random.percent(50) { kpi.unit(self.text(markers, 50)) } else { kpi }
    }

    fn text(&mut self, markers: &mut BTreeSet<Marker>, max: usize) -> String {
        let marker = Marker(self.next);
        self.next += 1;
        markers.insert(marker);
        let text = marker.text(&mut self.random, max);
        if text.chars().count() < FOUND_IN_PARTS {
            self.short.insert(marker);
        }
        text
    }
}

/// The markers in what a read returns.
fn markers_of(dataset: &Dataset) -> impl Iterator<Item = Marker> {
    let kpis = dataset.kpis.iter();
    let of_kpis = kpis.flat_map(|kpi| [Some(kpi.name.as_str()), kpi.description.as_deref(), kpi.unit.as_deref()]);
    texts_of([Some(dataset.name.as_str()), dataset.description.as_deref()].into_iter().chain(of_kpis))
}

fn texts_of<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> impl Iterator<Item = Marker> {
    texts.into_iter().flatten().flat_map(|text| markers_in(text.as_bytes()))
}
