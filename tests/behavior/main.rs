//! What is promised, and the tests that would catch its breach. The list of modules is the table of contents.

#![allow(missing_debug_implementations, reason = "nothing here is printed")]

mod support;

/// The contract: what is accepted and refused, where, with which code.
mod contract;
/// Accept or refuse agrees with a second statement of the limits, over generated requests; what is created is read back.
mod property;
/// Bad requests, one by one: every limit, wrong types, sizes, nesting, and how violations read.
mod requests;
/// Responses, to the byte.
mod responses;

/// Creating: what is stored, atomicity, batches, ids that are taken.
mod creating;
/// Ids and times: fresh, given, increasing, out of range, from sources that panic.
mod ids_and_times;
/// Listing: pages, cursors, iterating, counting.
mod listing;
/// Loading: any number of datasets, all or nothing or in batches; progress, cancelling, going on.
mod loading;
/// Two organizations in one file know nothing of each other: every call attacked, and by a damaged index.
mod tenants;
/// Threads, two stores on one file, waiting with a deadline, closing.
mod threads;

/// Backups: whole, compact, verified, of a store in use; restoring them.
mod backups;
/// A full disk: a typed error, reads go on, works again once there is room.
mod full_disk;

/// Damage: a row that is not what was written is an error, and hides nothing else.
mod damage;
/// Errors: codes, sources, and that none carries a stored value.
mod errors;
/// The file format: schema, digest, fixtures of every version.
mod file_format;
/// The limits: the schema repeats each as a CHECK, and the docs state it.
mod limits;
/// Private files: modes, whatever the umask.
#[cfg(unix)]
mod modes;
/// Files that are renamed, replaced or removed while they are open. Elsewhere than on Unix they cannot be.
#[cfg(unix)]
mod moved;
/// Opening: names, links, other handles, logs left behind; what the file is.
mod opening;
/// Printing: what stands in a log, and what reading from JSON expects.
mod printing;
/// Reading only: beside writers, and what may not be written.
mod read_only;
/// Refusing to open: which paths and files, with which error, and what stays as it was.
mod refusing;
/// Size: no more bytes than a file that is written by hand.
mod size;
/// Verifying: every finding, and accepting what was changed on purpose.
mod verifying;
