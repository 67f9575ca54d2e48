//! The answers of a peer, compared with the requests.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use kpi_store::NewDataset;
use uuid::Uuid;

use crate::{Dataset, Peer, input};

/// The datasets that a peer returned when it created them, in the order of their creation: an id and a hash of all
/// fields of each, since the datasets themselves would take the memory that is to be measured.
#[derive(Default)]
pub(crate) struct Expected {
    pub(crate) datasets: Vec<(Uuid, u64)>,
    /// Of the contents alone, without ids and times.
    content: DefaultHasher,
}

impl Expected {
    /// Takes note of a created dataset, which must be what was asked for.
    pub(crate) fn created(&mut self, dataset: &Dataset, new: &NewDataset) {
        assert!(dataset.is_answer_to(new), "created is not what was asked for:\n{dataset:?}\n{new:?}");
        self.datasets.push((dataset.id, hash(dataset)));
        dataset.content_hash().hash(&mut self.content);
    }

    /// Takes note of a changed dataset.
    pub(crate) fn changed(&mut self, dataset: &Dataset) {
        let known = self.datasets.iter_mut().find(|(id, _)| *id == dataset.id);
        known.expect("a dataset was changed that does not exist").1 = hash(dataset);
    }

    /// A hash that is equal for all peers that were asked for the same.
    pub(crate) fn content(&self) -> u64 {
        self.content.finish()
    }

    /// Concurrent calls are not ordered among each other: takes the order in which the peer lists them.
    pub(crate) fn order_as_listed<P: Peer>(&mut self, peer: &P) {
        let listed: Vec<_> = peer.list().into_iter().map(|stored| P::plain(stored).id).collect();
        let place = |id: &Uuid| listed.iter().position(|listed| listed == id).expect("a dataset is not listed");
        self.datasets.sort_by_cached_key(|(id, _)| place(id));
    }

    /// Every way to read must agree with it.
    pub(crate) fn assert_stored<P: Peer>(&self, peer: &P) {
        let distinct: HashSet<_> = self.datasets.iter().map(|(id, _)| id).collect();
        assert_eq!(distinct.len(), self.datasets.len(), "an id was given twice");
        assert_eq!(peer.count(), self.datasets.len() as u64, "count");

        let listed: Vec<Dataset> = peer.list().into_iter().map(P::plain).collect();
        let found: Vec<_> = listed.iter().map(|dataset| (dataset.id, hash(dataset))).collect();
        assert!(found == self.datasets, "the list is not what was created");

        assert!(peer.get(Uuid::now_v7()).is_none(), "an unknown id was found");
        for dataset in listed.iter().step_by(listed.len() / 200 + 1) {
            assert_eq!(peer.get(dataset.id).map(P::plain).as_ref(), Some(dataset), "get");
        }
        let limit = 50;
        let mut expected = listed.chunks(limit);
        let mut cursor = None;
        loop {
            let (page, next) = peer.page(cursor.as_ref(), limit);
            let (summaries, next_of_summaries) = peer.summaries(cursor.as_ref(), limit);
            assert_eq!(next.is_some(), next_of_summaries.is_some(), "the pages end at different places");
            let chunk = expected.next().unwrap_or_default();
            assert!(page.into_iter().map(P::plain).eq(chunk.iter().cloned()), "a page is not that of the list");
            let summaries = summaries.into_iter().map(P::plain_summary);
            assert!(summaries.eq(chunk.iter().map(Dataset::summary)), "the summaries are not those of the list");
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert!(expected.next().is_none(), "the pages end before the list");
    }

    /// Invalid requests must be refused, and change nothing.
    pub(crate) fn assert_refuses<P: Peer>(&self, peer: &P) {
        let invalid = input::invalid();
        let violations = invalid.validate().expect_err("the invalid request is valid");
        assert_eq!(peer.create(&invalid).err().as_ref(), Some(&violations), "create of an invalid request");
        let valid = NewDataset::new("Water");
        assert!(peer.create_all(&[valid.clone(), invalid, valid]).is_err(), "bulk with an invalid request");
        if let Some((id, _)) = self.datasets.first() {
            let first = P::plain(peer.get(*id).expect("the first dataset"));
            assert!(peer.rename_kpi(*id, first.kpis[0].id, "").is_err(), "an empty name");
        }
        self.assert_stored(peer);
    }
}

fn hash(dataset: &Dataset) -> u64 {
    let mut hasher = DefaultHasher::new();
    dataset.hash(&mut hasher);
    hasher.finish()
}
