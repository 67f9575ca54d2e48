//! The operations on the file as a whole.

mod backup;
mod close;
mod open;
mod verify;
