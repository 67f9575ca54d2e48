//! Listings, filters and searches, by the rules. Of Unicode it knows what the requests contain, and no more.

use std::collections::BTreeSet;

use kpi_store::{Dataset, KpiId, OrganizationId, UserId, ValueType};
use serde_json::{Value, json};

use super::{Answer, Kept, Model};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Order {
    OldestFirst,
    NewestFirst,
    RecentlyChanged,
}

/// Which datasets a listing has.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Filter {
    pub(crate) created_by: Option<UserId>,
    pub(crate) value_type: Option<ValueType>,
    /// Folded.
    pub(crate) words: BTreeSet<String>,
}

/// Items of a listing, each with the number of its place.
pub(crate) type Listing<T> = Vec<(usize, Answer<T>)>;

/// A text of a dataset: of which KPI, if of one, and in which field.
type Text<'d> = (Option<KpiId>, &'static str, &'d str);

impl Kept {
    /// The number of its last change, or of its creation.
    pub(crate) fn changed(&self) -> usize {
        self.trail.last().map_or(0, |step| step.number).max(self.created)
    }

    /// What the file has of it, be it damaged.
    pub(crate) fn stored(&self) -> Dataset {
        let mut stored = self.now.dataset.clone();
        stored.name = self.altered.name.clone().unwrap_or(stored.name);
        for kpi in &mut stored.kpis {
            kpi.unit = self.altered.units.get(&kpi.id).cloned().or(kpi.unit.take());
        }
        stored
    }
}

impl Model {
    /// The datasets that meet the filter, after the one with the number `after`, each as it is shown.
    pub(crate) fn listing<T>(
        &self,
        organization: OrganizationId,
        order: Order,
        filter: &Filter,
        after: Option<usize>,
        show: impl Fn(&Kept) -> Answer<T>,
    ) -> Listing<T> {
        let is_listed = |kept: &&Kept| kept.organization() == organization && kept.deletion.is_none();
        let ours = self.kept.iter().filter(is_listed).filter(|kept| self.is_listed_by(filter, kept));
        let is_by_change = order == Order::RecentlyChanged && self.rules.the_recently_changed_come_first;
        let place = |kept: &Kept| if is_by_change { kept.changed() } else { kept.created };
        let mut listing: Vec<_> = ours.map(|kept| (place(kept), self.head(kept).and_then(|()| show(kept)))).collect();
        listing.sort_by_key(|(place, _)| *place);
        let goes_back = order != Order::OldestFirst && self.rules.newest_first_goes_back;
        if goes_back {
            listing.reverse();
        }
        let is_behind = |place: usize| after.is_none_or(|after| if goes_back { place < after } else { place > after });
        listing.retain(|(place, _)| is_behind(*place));
        listing
    }

    pub(crate) fn count(&self, organization: OrganizationId, filter: &Filter) -> u64 {
        let none = Filter::default();
        let filter = if self.rules.counts_heed_filters { filter } else { &none };
        let listing = self.listing(organization, Order::OldestFirst, filter, None, |_| Ok(()));
        listing.len().try_into().unwrap()
    }

    /// Fails if the dataset itself is damaged, without its KPIs.
    pub(crate) fn head(&self, kept: &Kept) -> Answer<()> {
        let is_damaged = kept.altered.name.is_some() && self.rules.changes_are_damage;
        if is_damaged { Err("corrupt") } else { Ok(()) }
    }

    /// Whether a dataset belongs to a listing: if it is damaged, nobody knows whether it meets the filter.
    pub(super) fn is_listed_by(&self, filter: &Filter, kept: &Kept) -> bool {
        (self.head(kept).is_err() && self.rules.the_damaged_are_in_every_listing) || self.is_met(filter, &kept.stored())
    }

    fn is_met(&self, filter: &Filter, dataset: &Dataset) -> bool {
        let Filter { created_by, value_type, words } = filter;
        let is_by = created_by.is_none() || *created_by == dataset.created_by;
        let kpis = if self.rules.a_type_is_that_of_any_kpi { usize::MAX } else { 1 };
        let mut types = dataset.kpis.iter().take(kpis).map(|kpi| kpi.value_type);
        let has_type = value_type.is_none_or(|value_type| types.any(|of_kpi| of_kpi == value_type));
        let texts: Vec<_> = self.texts(dataset).into_iter().map(|(.., text)| self.folded(text)).collect();
        let has_word = |word: &String| texts.iter().any(|text| text.contains(word));
        let has_words = if self.rules.every_word_must_be_found {
            words.iter().all(has_word)
        } else {
            words.is_empty() || words.iter().any(has_word)
        };
        if self.rules.filters_combine || value_type.is_none() { is_by && has_type && has_words } else { has_type }
    }

    fn texts<'d>(&self, dataset: &'d Dataset) -> Vec<Text<'d>> {
        let mut texts: Vec<Text<'d>> = vec![(None, "name", &dataset.name)];
        texts.extend(dataset.description.iter().map(|text| (None, "description", text.as_str())));
        let kpis = dataset.kpis.iter().filter(|_| self.rules.a_search_looks_at_kpis);
        texts.extend(kpis.flat_map(|kpi| {
            let others = [("description", kpi.description.as_deref()), ("unit", kpi.unit.as_deref())];
            let others = others.into_iter().filter_map(|(field, text)| Some((Some(kpi.id), field, text?)));
            [(Some(kpi.id), "name", kpi.name.as_str())].into_iter().chain(others)
        }));
        texts
    }

    fn folded(&self, text: &str) -> String {
        if self.rules.forms_of_a_letter_are_the_same {
            text.to_lowercase().replace('ß', "ss")
        } else {
            text.to_owned()
        }
    }

    /// A dataset as its summary is written; damage to its KPIs shows if they are read.
    pub(crate) fn summary(&self, filter: &Filter, kept: &Kept) -> Answer<Value> {
        let looks_at_kpis = filter.value_type.is_some() || !filter.words.is_empty();
        if looks_at_kpis || !self.rules.summaries_read_no_kpis {
            self.whole(kept)?;
        }
        let dataset = &kept.now.dataset;
        let is_counted = |required: bool| required || !self.rules.the_required_are_counted;
        let mut summary = serde_json::to_value(dataset).unwrap();
        let fields = summary.as_object_mut().unwrap();
        fields.remove("kpis");
        fields.insert("kpi_count".to_owned(), dataset.kpis.len().into());
        let required = dataset.kpis.iter().filter(|kpi| is_counted(kpi.required)).count();
        fields.insert("required_count".to_owned(), required.into());
        let found = self.texts(dataset).into_iter().map(|(kpi, field, text)| (kpi, field, self.segments(filter, text)));
        let found = found.filter(|(.., segments)| segments.iter().any(|(_, is_found)| *is_found));
        let found = found.map(|(kpi, field, segments)| json!({ "kpi": kpi, "field": field, "segments": segments }));
        fields.insert("matches".to_owned(), found.collect());
        Ok(summary)
    }

    /// The text in pieces, each with whether a word was found there; a character that is found in part is found.
    fn segments(&self, filter: &Filter, text: &str) -> Vec<(String, bool)> {
        let folded = self.folded(text);
        let mut is_found = vec![false; folded.len()];
        for word in &filter.words {
            for start in (0..folded.len()).filter(|start| folded.as_bytes()[*start..].starts_with(word.as_bytes())) {
                is_found[start..start + word.len()].fill(true);
            }
        }
        let (mut segments, mut end) = (Vec::<(String, bool)>::new(), 0);
        for letter in text.chars() {
            let start = end;
            end += self.folded(letter.encode_utf8(&mut [0; 4])).len();
            let is_found = is_found[start..end].contains(&true);
            match segments.last_mut() {
                Some((segment, was_found)) if *was_found == is_found => segment.push(letter),
                _ => segments.push((letter.to_string(), is_found)),
            }
        }
        segments
    }
}
