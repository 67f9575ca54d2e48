//! Loading, by the store and by its model.

use std::ops::ControlFlow;

use kpi_store::{Error, LoadError, LoadOptions, NewDataset};

use super::model::creating::{Load, admitted};
use super::model::{Answer, LAST_TIME, Version};
use super::world::{Checked, Counts, World};

impl World {
    pub(crate) fn load(&mut self, handle: usize, counts: &mut Counts) -> Checked {
        let count = self.random.below(8);
        let mut new = self.any_requests(count);
        if self.random.percent(20) {
            new.push(NewDataset::new(""));
        }
        let load = Load {
            batch: if self.random.percent(60) { Some(self.random.below(5)) } else { None },
            is_in_memory: self.is_in_memory,
            cancelled_at: if self.random.percent(25) { Some(self.random.below(new.len() + 1)) } else { None },
        };
        let mut pulled = 0;
        let input = new.iter().cloned().inspect(|_| pulled += 1);
        let (caller, found, drawn) =
            self.as_any_caller(handle, |organization| organization.load_datasets(input, options(&load)));

        // Items that were not pulled are not stored and have no ids.
        let input = admitted(caller, &new[..pulled], &drawn);
        let mut after = self.model.clone();
        let (stored, ended) = match load.batch {
            Some(0) => (0, Err("invalid")),
            _ if caller.now > LAST_TIME => (0, Err("clock_out_of_range")),
            _ => after.load(&load, &input, self.if_writable(handle, Ok(()))),
        };
        let kpis: usize = input[..stored].iter().flatten().map(|version| version.dataset.kpis.len()).sum();
        let expected = ended.map(|()| (count_of(new.len()), count_of(kpis)));
        let what = format!("load {load:?} {new:?}");
        let answered = found.as_ref().map(|loaded| (loaded.datasets, loaded.kpis));
        let answered = answered.map_err(|stopped| stopped.error.clone());
        let is_as_expected = self.compare(&what, &expected, &answered, counts)?;
        match found {
            Err(stopped) if !is_as_expected => {
                return self.follow_load(handle, &load, (&input, stored), &stopped, counts);
            }
            Err(stopped) if stopped.stored != count_of(stored) => {
                return Err(format!("{what}: {stored} must be stored, not {stopped:?}"));
            }
            _ => {}
        }
        self.model = after;
        counts.loaded += stored;
        counts.stopped += usize::from(stored > 0 && expected.is_err());
        Ok(())
    }

    /// After a disk error: what it reports as stored is stored, and nothing else but a batch with an unknown outcome.
    /// `stored_max` is how much would be stored without that error.
    fn follow_load(
        &mut self,
        handle: usize,
        load: &Load,
        (input, stored_max): (&[Answer<Version>], usize),
        stopped: &LoadError,
        counts: &mut Counts,
    ) -> Checked {
        self.calm();
        let differs =
            || format!("{load:?} of {input:?}, of which {stored_max} can be stored, stopped with {stopped:?}");
        let stored = usize::try_from(stopped.stored).unwrap();
        let size = load.batch.unwrap_or(usize::MAX);
        if stored > stored_max || !stored.is_multiple_of(size) {
            return Err(differs());
        }
        let (mut handle, mut kept) = (handle, stored);
        if let Error::OutcomeUnknown { ids, .. } = &stopped.error {
            let end = input.len().min(stored.saturating_add(size));
            let last = input[stored..end].last().and_then(|version| Some(&version.as_ref().ok()?.dataset));
            if end > stored_max || !ids.iter().eq(last.map(|dataset| &dataset.id)) {
                return Err(differs());
            }
            handle = self.after_unknown(handle)?;
            let is_there = last.map_or(Ok(false), |last| self.is_there(handle, last))?;
            counts.note_unknown(is_there);
            kept = if is_there { end } else { stored };
        } else if !self.model.rules.what_fails_is_not_written {
            kept = stored_max;
        }
        let kept: Vec<_> = input[..kept].iter().flatten().cloned().collect();
        self.model.keep(&kept).map_err(|code| format!("{kept:?} cannot be stored: {code}"))?;
        let pulled: Vec<_> = input.iter().flatten().map(|version| version.dataset.clone()).collect();
        self.is_as_modeled(handle, &pulled)
    }
}

fn options(load: &Load) -> LoadOptions<'static> {
    let mut options = LoadOptions::new();
    if let Some(datasets) = load.batch {
        options = options.in_batches_of(datasets.try_into().unwrap());
    }
    let Some(at) = load.cancelled_at.map(count_of) else { return options };
    options.progress(
        move |progress| if progress.datasets < at { ControlFlow::Continue(()) } else { ControlFlow::Break(()) },
    )
}

fn count_of(number: usize) -> u64 {
    number.try_into().unwrap()
}
