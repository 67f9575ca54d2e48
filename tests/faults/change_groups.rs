//! Changes by several threads that share one commit.

use super::changes::{Edit, content, edited, last_kpi, revision, with_kpi};
use super::session::{Change, Event, Outcome, Session, request};
use super::world::{Effect, Wanted};
use crate::{Dataset, DatasetId, DatasetPatch, Error, Organization, Origin, Result};

/// The dataset of an edit or a creation; other calls return nothing.
type Answer = Result<Option<Dataset>>;

type Run = Box<dyn FnOnce(&Organization) -> Answer + Send>;

/// What an answer tells of the dataset.
type Tells = dyn Fn(&Answer) -> Option<Effect>;

/// A call, and what its answer tells.
struct Call {
    run: Run,
    effect: Box<Tells>,
}

impl Session {
    /// Edits the first dataset, adds a KPI to the second and deletes the third, each from a thread of its own, in one
    /// shared transaction. In between a second edit of the first dataset conflicts, and one of an unknown dataset fails.
    pub(super) fn change_in_a_group(&mut self) -> Result<()> {
        let (first, second, third) = (self.current(0)?, self.current(1)?, self.id(2));
        self.run_in_a_group(
            1,
            vec![
                save(&first, |draft| draft.name.push_str(", first")),
                add_kpi(&second),
                unknown(),
                save(&first, |draft| draft.name.push_str(", conflict")),
                delete(third),
            ],
        )
    }

    /// Sets properties, creates datasets and sets one of the properties again, each from a thread of its own, in one
    /// shared transaction. In between an edit of an unknown dataset fails.
    pub(super) fn set_properties_in_a_group(&mut self, content: &str) -> Result<()> {
        let again = format!("{content}, again");
        self.run_in_a_group(
            0,
            vec![
                create(3),
                set_properties(&[("cursor", Some(content)), ("map", None), (content, Some(content))]),
                unknown(),
                create(0),
                set_properties(&[("map", Some(&again)), ("another", Some(&again))]),
            ],
        )
    }

    fn run_in_a_group(&mut self, conflicts: usize, calls: Vec<Call>) -> Result<()> {
        let organization = self.organization();
        let (runs, effects): (Vec<_>, Vec<_>) = calls.into_iter().map(|call| (call.run, call.effect)).unzip();
        let began = self.disk.recorded();
        let answers = self.store().in_a_group(runs.into_iter().map(|run| {
            let organization = organization.clone();
            move || run(&organization)
        }));
        let codes: Vec<_> = answers.iter().map(|answer| answer.as_ref().map_or_else(Error::code, |_| "ok")).collect();
        let (mut acknowledged, mut unknown, mut failed) = (Vec::new(), Vec::new(), Ok(()));
        for (answer, effect) in answers.into_iter().zip(effects) {
            let effects = Vec::from_iter(effect(&answer));
            match answer {
                Ok(_) => acknowledged.push(effects),
                Err(error @ Error::OutcomeUnknown { .. }) => {
                    unknown.extend(effects);
                    failed = failed.and(Err(error));
                }
                // It failed on its own, without the others.
                Err(error) => {
                    self.note(began, Event::Change(Change { effects, outcome: Outcome::Refused }));
                    if !matches!(error, Error::Conflict { .. } | Error::NotFound { .. }) {
                        failed = failed.and(Err(error));
                    }
                }
            }
        }
        if !unknown.is_empty() {
            self.note(began, Event::Change(Change { effects: unknown, outcome: Outcome::Unknown }));
        }
        let changes = if self.disk.has_failed() {
            // What conflicted with a commit that failed is tried again alone, and so is everything after a rollback.
            acknowledged
        } else {
            assert_eq!(codes[2], "not_found", "{codes:?}");
            assert_eq!(codes.iter().filter(|code| **code == "conflict").count(), conflicts, "{codes:?}");
            vec![acknowledged.concat()]
        };
        for effects in changes {
            self.note(began, Event::Change(Change { effects, outcome: Outcome::Acknowledged(Vec::new()) }));
        }
        failed
    }
}

fn save(current: &Dataset, edit: Edit) -> Call {
    let (current, draft) = (current.clone(), edited(current, edit));
    let wanted = content(&current, &draft);
    Call {
        run: Box::new(move |organization| organization.save_dataset(&draft).map(Some)),
        effect: Box::new(move |answer| effect_of_edit(&current, &wanted, answer)),
    }
}

fn add_kpi(current: &Dataset) -> Call {
    let (current, new) = (current.clone(), last_kpi(current));
    let wanted = content(&current, &current.edit().with(new.clone()));
    let before = current.clone();
    Call {
        run: Box::new(move |organization| {
            organization.create_kpi(before.id, new).map(|kpi| Some(with_kpi(&before, kpi)))
        }),
        effect: Box::new(move |answer| effect_of_edit(&current, &wanted, answer)),
    }
}

fn unknown() -> Call {
    Call {
        run: Box::new(|organization| {
            organization.update_dataset(DatasetId::new(), DatasetPatch::new().name("Unknown")).map(Some)
        }),
        effect: Box::new(|answer| {
            assert!(answer.is_err(), "there is no such dataset");
            None
        }),
    }
}

fn create(kpis: usize) -> Call {
    let id = DatasetId::new();
    Call {
        run: Box::new(move |organization| organization.create_dataset(request(kpis).id(id)).map(Some)),
        effect: Box::new(move |answer| {
            let wanted = match answer {
                Ok(Some(dataset)) => Wanted::Exactly(dataset.clone()),
                _ => Wanted::WithKpis(kpis),
            };
            Some(Effect::Create(id, wanted))
        }),
    }
}

fn set_properties(set: &[(&str, Option<&str>)]) -> Call {
    let owned =
        |(key, content): &(&str, Option<&str>)| ((*key).to_owned(), content.map(|content| content.as_bytes().to_vec()));
    let set: Vec<_> = set.iter().map(owned).collect();
    let effect = Effect::SetProperties(set.clone());
    Call {
        run: Box::new(move |organization| {
            organization.set_properties(set.iter().map(|(key, content)| (key, content.as_deref()))).map(|()| None)
        }),
        effect: Box::new(move |answer| {
            if let Err(Error::OutcomeUnknown { ids, updated_at, .. }) = answer {
                assert_eq!((ids.len(), *updated_at), (0, None), "it concerns no dataset");
            }
            Some(effect.clone())
        }),
    }
}

fn delete(id: DatasetId) -> Call {
    Call {
        run: Box::new(move |organization| organization.delete_dataset(id).map(|()| None)),
        effect: Box::new(move |_| Some(Effect::Delete(id))),
    }
}

fn effect_of_edit(current: &Dataset, wanted: &Dataset, answer: &Answer) -> Option<Effect> {
    let dataset = |answer: &'_ Option<Dataset>| answer.clone().expect("an edit returns the dataset");
    let answer = answer.as_ref().map(dataset);
    revision(current, Origin::Edited, wanted.clone(), answer.as_ref().map_err(|error| *error))
}
