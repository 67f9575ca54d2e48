//! Opening, closing, backups, verifying, and changes by another tool.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use chrono::DateTime;
use kpi_store::{Durability, Store, StoreOptions};
use rusqlite::params;
use uuid::Uuid;

use super::model::listing::Filter;
use super::model::{Caller, Model};
use super::world::{Checked, Counts, Handle, World};

/// The most handles open at once.
const HANDLES_MAX: usize = 3;

impl World {
    /// Opens the first handle, and tries again if the disk fails.
    pub(crate) fn open_first(&mut self) -> Checked {
        let mut opened = self.opened(false);
        if let Err(error) = &opened
            && self.is_excused(error)
        {
            self.calm();
            opened = self.opened(false);
        }
        self.handles.push(opened.map_err(|error| format!("open: {error:?}"))?);
        Ok(())
    }

    /// Opens another handle, which may replace one; in memory this is an empty store.
    pub(crate) fn open(&mut self, counts: &mut Counts) -> Checked {
        let is_read_only = self.random.percent(25);
        if self.is_in_memory {
            // Cursors of changes are kept: they are of another file now.
            self.model = Model::new(self.model.rules, self.model.generation + 1);
            self.cursors.clear();
            self.drafts.clear();
            while !self.handles.is_empty() {
                self.drop_handle(0)?;
            }
        } else if self.handles.len() == HANDLES_MAX {
            let place = self.random.below(HANDLES_MAX);
            self.drop_handle(place)?;
        }
        let mut opened = self.opened(is_read_only);
        let found = opened.as_ref().map(drop).map_err(Clone::clone);
        self.compare("open", &Ok(()), &found, counts)?;
        if opened.is_err() {
            self.calm();
            opened = self.opened(is_read_only);
        }
        self.handles.push(opened.map_err(|error| format!("open again: {error:?}"))?);
        Ok(())
    }

    pub(crate) fn opened(&mut self, is_read_only: bool) -> kpi_store::Result<Handle> {
        let durability = if self.random.percent(50) { Durability::Full } else { Durability::Normal };
        let options = self.options().durability(durability).read_only(is_read_only);
        let store = if self.is_in_memory { options.open_in_memory()? } else { options.open(&self.file.path)? };
        Ok(Handle { store, is_read_only: is_read_only && !self.is_in_memory, is_closed: false, watch: None })
    }

    fn options(&self) -> StoreOptions {
        let (ids, clock) = (Arc::clone(&self.ids), Arc::clone(&self.clock));
        Store::options()
            .busy_timeout(Duration::from_secs(2))
            .ids(move || ids.lock().unwrap().next())
            .clock(move || DateTime::from_timestamp_micros(clock.load(Relaxed)).unwrap())
    }

    pub(crate) fn close(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let found = self.handles[handle].store.clone().close();
        let expected = self.if_open(handle, Ok(()));
        self.handles[handle].is_closed = true;
        self.compare("close", &expected, &found, counts).map(drop)
    }

    pub(crate) fn verify(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let verified = self.handles[handle].store.verify();
        let found = verified.map(|found| (found.datasets, found.kpis, found.findings.len()));
        self.compare("verify", &self.if_open(handle, Ok(self.model.counts())), &found, counts).map(drop)
    }

    /// Other handles hold no snapshot, so nothing prevents a checkpoint.
    pub(crate) fn checkpoint(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let found = self.handles[handle].store.checkpoint();
        self.compare("checkpoint", &self.if_writable(handle, Ok(true)), &found, counts).map(drop)
    }

    /// Other handles hold no snapshot, and what is stored stays as it is.
    pub(crate) fn compact(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let found = self.handles[handle].store.compact();
        counts.note("compact", found.is_ok());
        if !self.compare("compact", &self.if_writable(handle, Ok(())), &found, counts)? {
            self.calm();
            for organization in self.organizations {
                self.agrees(handle, organization)?;
            }
        }
        Ok(())
    }

    pub(crate) fn back_up(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let is_taken = self.random.percent(15);
        let copy = if is_taken { self.file.folder.path().to_owned() } else { self.file.folder.path().join("copy") };
        let found = self.handles[handle].store.backup_to(&copy);
        let expected = match self.model.counts() {
            _ if is_taken => Err("invalid_path"),
            (_, _, 0) => Ok(()),
            _ => Err("corrupt"),
        };
        self.compare("backup", &self.if_open(handle, expected), &found, counts)?;
        self.calm();
        if copy.is_file() != found.is_ok() {
            return Err(format!("there is a copy after {found:?}, or none"));
        }
        if found.is_ok() {
            counts.backups += 1;
            let store = Store::open(&copy).map_err(|error| format!("open the backup: {error:?}"))?;
            self.refuses_our_cursors(&store)?;
            let followed = std::mem::take(&mut self.followed);
            self.agree(&store)?;
            self.followed = followed;
            store.close().map_err(|error| format!("close the backup: {error:?}"))?;
            std::fs::remove_file(&copy).unwrap();
        }
        Ok(())
    }

    /// Changes a name, or the unit of a KPI, as another tool would.
    pub(crate) fn alter(&mut self) -> Checked {
        self.calm();
        if self.is_in_memory || self.model.kept.is_empty() {
            return Ok(());
        }
        let last = self.model.kept.len() - 1;
        let place = if self.random.percent(30) { last } else { self.random.below(last + 1) };
        let kept = &mut self.model.kept[place];
        let [id, organization] = [Uuid::from(kept.id()), kept.organization().into()];
        let text = format!("Changed to {}", self.random.next());
        let kpi = kept.now.dataset.kpis.first().filter(|_| self.random.percent(50)).map(|kpi| kpi.id);
        let plain = rusqlite::Connection::open(&self.file.path);
        let changed = if let Some(kpi) = kpi {
            kept.altered.units.insert(kpi, text.clone());
            let sql = "UPDATE kpi SET unit = ?1 WHERE id = ?4
                       AND dataset_seq = (SELECT seq FROM dataset WHERE id = ?2 AND organization_id = ?3)";
            let kpi = Uuid::from(kpi);
            plain.and_then(|plain| {
                plain.execute(sql, params![text, id.as_bytes(), organization.as_bytes(), kpi.as_bytes()])
            })
        } else {
            kept.altered.name = Some(text.clone());
            let sql = "UPDATE dataset SET name = ?1 WHERE id = ?2 AND organization_id = ?3";
            plain.and_then(|plain| plain.execute(sql, params![text, id.as_bytes(), organization.as_bytes()]))
        };
        if changed == Ok(1) { Ok(()) } else { Err(format!("another tool is told {changed:?}")) }
    }

    /// Every handle holds what the model does, and so does one that is opened after all are dropped.
    pub(crate) fn end(&mut self) -> Checked {
        for handle in self.handles.iter().filter(|handle| !handle.is_closed) {
            self.agree(&handle.store)?;
        }
        self.handles.clear();
        if self.is_in_memory {
            return Ok(());
        }
        let fresh = self.options().open(&self.file.path).map_err(|error| format!("open: {error:?}"))?;
        self.agree(&fresh)?;
        self.empty_the_trash(&fresh)?;
        self.agree(&fresh)?;
        fresh.close().map_err(|error| format!("close: {error:?}"))?;
        let entries = self.file.folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name());
        let names: Vec<_> = entries.filter(|name| !name.to_string_lossy().starts_with("kpis.db")).collect();
        if names.is_empty() { Ok(()) } else { Err(format!("{names:?} are left")) }
    }

    /// Restores what can be restored, so that its history can be seen.
    fn empty_the_trash(&mut self, store: &Store) -> Checked {
        for organization in self.organizations {
            let now = self.clock.load(Relaxed);
            let caller = Caller { organization, user: None, now };
            for (_, entry) in self.model.trash(organization, false, &Filter::default(), None) {
                let Ok((dataset, ..)) = entry else { continue };
                let found = store.organization(organization).restore_dataset(dataset.id).map_err(|error| error.code());
                let expected = self.model.restore(caller, &[dataset.id]).map(|mut restored| restored.remove(0));
                if found != expected {
                    return Err(format!("expected {expected:?}, restored {found:?}"));
                }
            }
        }
        Ok(())
    }

    fn agree(&self, store: &Store) -> Checked {
        for organization in self.organizations {
            self.holds_what_is_modeled(store, organization)?;
            self.lists_what_is_modeled(&store.organization(organization))?;
        }
        let verified = store.verify().map(|found| (found.datasets, found.kpis, found.findings.len()));
        let (found, expected) = (verified.map_err(|error| error.code()), Ok(self.model.counts()));
        if found == expected { Ok(()) } else { Err(format!("expected {expected:?}, verified {found:?}")) }
    }
}
