//! Tests that need the inside of the crate: its connections, the writer and its queue, the statements.

mod durability;
mod opening;
mod readers;
mod statements;
mod support;
mod writer;
