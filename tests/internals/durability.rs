//! The `synchronous` setting of connections for writing. Without it, only a power cut shows a wrong one.

use super::support::with_writer;
use crate::{DatasetId, Durability, Error, Store};

#[test]
fn every_connection_for_writing_has_the_synchronous_setting_of_the_durability() {
    for (options, synchronous) in [
        (Store::options(), 2),
        (Store::options().durability(Durability::Full), 2),
        (Store::options().durability(Durability::Normal), 1),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = options.open(folder.path().join("kpis.db")).unwrap();
        let ask = || -> i64 {
            with_writer(&store, |writer| writer.pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap())
        };
        assert_eq!(ask(), synchronous);
        with_writer(&store, |writer| drop(writer.commit_hook(Some(|| true))));
        let failed = store
            .organization(crate::OrganizationId::new())
            .create_dataset(crate::NewDataset::new("Lost").id(DatasetId::new()));
        assert!(matches!(failed, Err(Error::OutcomeUnknown { .. })), "{failed:?}");
        assert_eq!(ask(), synchronous, "after a failed commit");
    }
}
