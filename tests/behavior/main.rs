//! The promises of the crate, and the tests that would catch their breach. The list of modules is the table of
//! contents.

#![allow(missing_debug_implementations, reason = "nothing here is printed")]

#[path = "../support/mod.rs"]
mod support;

/// The contract: what is accepted and refused, where, with which code.
mod contract;
/// Accept or refuse agrees with a second statement of the limits, over generated requests; what is created is read
/// back.
mod property;
/// Bad requests, one by one: every limit, wrong types, sizes, nesting, and how violations read.
mod requests;
/// Responses, to the byte.
mod responses;

/// Following: what has changed since a cursor, and that a reader misses nothing.
mod changes;
/// Creating: what is stored, atomicity, batches, ids that are taken.
mod creating;
/// Edits, before they are saved: drafts, patches, what two versions differ in, merging.
mod edits;
/// Finding: summaries, filters, the order of the last changes, searches.
mod finding;
/// Looking back: every version, reverting, pruning.
mod history;
/// Ids and times: fresh, given, increasing, out of range, from sources that panic.
mod ids_and_times;
/// Listing: pages, cursors, iterating, counting.
mod listing;
/// Loading: any number of datasets, all or nothing or in batches; progress, cancelling, resuming.
mod loading;
/// Properties of organizations: round trips, limits, atomicity.
mod properties;
/// Changing: drafts, patches, single KPIs; tokens, conflicts, limits.
mod saving;
/// Isolation of two organizations in one file: attacks by every call, and by a damaged index.
mod tenants;
/// Threads, two stores on one file, waiting with a deadline, closing.
mod threads;
/// The trash: deleting, restoring, purging.
mod trash;
/// Watching: which commits are reported, when, and how a watch ends.
mod watching;

/// Backups: complete, compact, verified, of a store in use; restoring them.
mod backups;
/// A file or a disk that becomes read-only while the store is open: everything that only reads goes on.
#[cfg(unix)]
mod became_read_only;
/// Callbacks: what they may do is the same in a file and in memory, in stores of any size.
mod callbacks;
/// Checkpoints: what the file alone holds, and when the log cannot be copied into it.
mod checkpoints;
/// Erasing: no byte of what was removed is left, and everything else is as it was.
mod erasing;
/// A full disk: a typed error, reads still work, writes work again once there is room.
mod full_disk;

/// Damage: a row that is not as it was written is an error, and hides nothing else.
mod damage;
/// Errors: codes, sources, and that none carries a stored value.
mod errors;
/// The file format: schema, digest, fixtures of every version.
mod file_format;
/// Limits: the schema repeats each as a CHECK, and the docs state it.
mod limits;
/// Logs that are removed or replaced while the store is open, such as after the process has read its own file.
#[cfg(unix)]
mod lost_log;
/// Private files: modes, whatever the umask.
#[cfg(unix)]
mod modes;
/// Files that are mounted: refused under the name of the mount, since each name would have a log of its own.
#[cfg(target_os = "linux")]
mod mounted;
/// Files that are renamed, replaced or removed while they are open, which only Unix allows.
#[cfg(unix)]
mod moved;
/// Numbers of datasets in the file: never given twice, rising with the order of commits.
mod numbers;
/// Opening: names, links, other handles, logs left behind; what the file is.
mod opening;
/// Tables of other tools in the file: tolerated, never touched.
mod other_tables;
/// Printing: what appears in a log, and what reading from JSON expects.
mod printing;
/// Read-only handles: beside writers, and of files that may not be written.
mod read_only;
/// Refusing to open: which paths and files, with which error, and what stays as it was.
mod refusing;
/// Size: no larger than a file written by hand-written SQL.
mod size;
/// Statistics: every number is that of the rows, in a file and in memory.
mod statistics;
/// Verifying: every finding, and accepting what was changed on purpose.
mod verifying;
