//! The peers. Those that need another version of SQLite are in the package `other_sqlite`.

pub(crate) mod fjall;
pub(crate) mod floor;
pub(crate) mod json_column;
pub(crate) mod json_file;
pub(crate) mod kpi_store;
pub(crate) mod plain_rusqlite;
mod record;
pub(crate) mod redb;
mod text_columns;

use kpi_store_peers_harness::child::Task;

/// A peer as the driver knows it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PeerInfo {
    /// On the command line and in the tables.
    pub(crate) name: &'static str,
    /// The program that contains it.
    pub(crate) program: Program,
    /// A description, for the notes below the table.
    pub(crate) note: &'static str,
}

/// A program with peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// This one.
    Driver,
    /// That of the package `other_sqlite`: diesel and sqlx need another version of SQLite than rusqlite.
    OtherSqlite,
}

/// The peer to which all figures are ratios.
pub(crate) const FLOOR: &str = "floor";

/// All peers, in the order of the table. The floor is the first.
pub(crate) const PEERS: &[PeerInfo] = &[
    PeerInfo {
        name: FLOOR,
        program: Program::Driver,
        note: "the best hand-written rusqlite for the crate's own file format (benches/against_sql), with validation",
    },
    PeerInfo { name: "kpi-store", program: Program::Driver, note: "the crate, by its public API" },
    PeerInfo {
        name: "rusqlite",
        program: Program::Driver,
        note: "as most write it: ids and times as text, a prepared INSERT for each row, WAL",
    },
    PeerInfo {
        name: "diesel",
        program: Program::OtherSqlite,
        note: "diesel 2.3 with derived rows, slices inserted in batches, `belonging_to` and `grouped_by`, WAL, SQLite \
               3.51.3",
    },
    PeerInfo {
        name: "sqlx",
        program: Program::OtherSqlite,
        note: "sqlx 0.9 with one connection, `push_values`, each call waited for on a runtime of one thread, WAL, \
               SQLite 3.51.3",
    },
    PeerInfo {
        name: "redb",
        program: Program::Driver,
        note: "redb 4 with a value for each dataset and its KPIs, encoded by postcard; no SQL. Its Normal \
               (`Durability::None`) promises less than that of the others: a process that is killed loses what it \
               created",
    },
    PeerInfo {
        name: "fjall",
        program: Program::Driver,
        note: "fjall 3 with the same values, in batches (`PersistMode::SyncAll`; Normal: `Buffer`); no SQL",
    },
    PeerInfo {
        name: "json-column",
        program: Program::Driver,
        note: "rusqlite with a row for each dataset and its KPIs as JSON in a column, WAL",
    },
    PeerInfo {
        name: "json-file",
        program: Program::Driver,
        note: "one JSON file: read at opening, answered from memory, rewritten, flushed and renamed with every change. \
               Normal is the same as Full",
    },
];

/// Does the task of a child process with a peer of this program.
pub(crate) fn run(task: Task) {
    match task.peer.as_str() {
        FLOOR => task.run::<floor::Floor>(),
        "kpi-store" => task.run::<kpi_store::KpiStore>(),
        "rusqlite" => task.run::<plain_rusqlite::PlainRusqlite>(),
        "redb" => task.run::<redb::Redb>(),
        "fjall" => task.run::<fjall::Fjall>(),
        "json-column" => task.run::<json_column::JsonColumn>(),
        "json-file" => task.run::<json_file::JsonFile>(),
        unknown => panic!("no peer of this program is named {unknown}"),
    }
}
