//! The operations on the file as a whole.

mod backup;
mod checkpoint;
mod close;
mod compact;
mod open;
mod statistics;
mod verify;
