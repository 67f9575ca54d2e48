//! The ledger of a session that begins with the files left by a power cut.

use kpi_store_test_support::TestFile;

use super::check::Expected;
use super::images::{self, Image};
use super::session::{Change, Event, Noted, Outcome};
use super::world::{Effect, FoundLife, Place};
use crate::{DatasetId, Durability, Store};

/// Whatever is found at first must stay. What another tool changed may still be damaged.
pub(super) fn found_in(image: &Image, expected: &Expected<'_>, cut: usize) -> Vec<Noted> {
    let file = TestFile::in_memory();
    images::write(image, file.folder.path());
    images::remove_drafts(file.folder.path());
    let store = Store::options().durability(Durability::Full).open_with_schema(&file.path, expected.schema).unwrap();
    let settled = expected.settle(&store, cut).unwrap();
    let found = expected.look(&store).unwrap();

    // What was damage before it was settled for this look is found as damage.
    let was_damaged = |id: DatasetId, place: Place| {
        settled.iter().any(|effect| match effect {
            Effect::Accept(of, _) => *of == id && place == Place::Living,
            Effect::Purge(of) => *of == id && place == Place::Purged,
            _ => false,
        })
    };
    let mut events = Vec::new();
    let mut find = |id, life: Option<FoundLife>, place| {
        let (history, place) = match place {
            Place::Purged if was_damaged(id, place) => (Vec::new(), Place::Trash),
            _ if was_damaged(id, place) => (Vec::new(), place),
            _ => (life.and_then(|life| life.history).unwrap_or_default(), place),
        };
        events.push(Event::Found { id, history, place });
    };
    found.living.into_iter().for_each(|life| find(life.dataset.id, Some(life), Place::Living));
    found.trash.into_iter().rev().for_each(|life| find(life.dataset.id, Some(life), Place::Trash));
    found.purged.into_iter().flatten().for_each(|id| find(id, None, Place::Purged));

    let properties = found.properties.into_iter().map(|(key, content)| (key, Some(content))).collect();
    let (effects, outcome) = (vec![Effect::SetProperties(properties)], Outcome::Acknowledged(Vec::new()));
    events.push(Event::Change(Change { effects, outcome }));

    events.extend(expected.events.iter().map(|noted| noted.event.clone()).filter(|event| match event {
        Event::Backup { name, .. } => image.get(name).is_some_and(|bytes| !bytes.is_empty()),
        Event::Alteration { dataset } => {
            [Place::Living, Place::Purged].iter().any(|place| was_damaged(dataset.id, *place))
        }
        _ => false,
    }));
    events.into_iter().map(|event| Noted { event, began: 0, ended: 0 }).collect()
}
