//! Tests that need the inside of the crate: its connections, the writer and its queue, the statements, gathered KPIs,
//! the content of edits, and the search.

mod backups;
mod durability;
mod early_reads;
mod edits;
mod gathering;
mod log_bound;
mod opening;
mod readers;
mod search;
mod statements;
mod support;
mod unnamed_files;
mod watching;
mod writer;
