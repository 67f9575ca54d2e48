//! Tests that need the inside of the crate: its connections, the writer and its queue, the statements.

mod backups;
mod durability;
mod opening;
mod readers;
mod statements;
mod support;
mod unnamed_files;
mod writer;
