//! The rules of the model, each of which a control can invert.

macro_rules! rules {
    ($($rule:ident,)*) => {
        /// The rules, each of which a control can invert.
        #[derive(Clone, Copy, Debug)]
        #[allow(clippy::struct_excessive_bools, reason = "each is a rule")]
        pub(crate) struct Rules {
            $(pub(crate) $rule: bool,)*
        }

        impl Default for Rules {
            fn default() -> Self {
                Self { $($rule: true,)* }
            }
        }

        impl Rules {
            /// For each rule its name, and rules of which only this one is wrong.
            pub(crate) fn each_wrong() -> Vec<(&'static str, Self)> {
                vec![$((stringify!($rule), Self { $rule: false, ..Self::default() }),)*]
            }
        }
    };
}

rules! {
    ids_are_of_one_organization,
    newest_first_goes_back,
    the_recently_changed_come_first,
    filters_combine,
    a_type_is_that_of_any_kpi,
    every_word_must_be_found,
    forms_of_a_letter_are_the_same,
    a_search_looks_at_kpis,
    counts_heed_filters,
    cursors_heed_filters,
    the_damaged_are_in_every_listing,
    summaries_read_no_kpis,
    the_required_are_counted,
    a_refused_batch_leaves_nothing,
    changes_are_damage,
    what_fails_is_not_written,
    a_stopped_load_keeps_its_batches,
    a_load_without_batches_is_all_or_nothing,
    ids_of_others_are_unknown,
    what_is_invalid_is_refused_first,
    conflicts_are_judged,
    a_conflict_comes_before_missing_kpis,
    damage_comes_before_a_conflict,
    damage_cannot_be_edited,
    tokens_rise_when_the_clock_steps_back,
    the_last_editor_is_named,
    what_changes_nothing_writes_nothing,
    a_kpi_has_the_time_of_its_own_change,
    ties_are_in_order_of_addition,
    appended_kpis_get_the_last_plus_one,
    kept_sort_orders_stay,
    an_unordered_list_is_renumbered,
    listed_kpis_come_first,
    a_created_kpi_is_an_edit,
    a_created_kpi_needs_no_other,
    the_deleted_are_unknown,
    a_deletion_moves_no_token,
    the_deleted_restored_are_the_same,
    several_are_deleted_together_or_not,
    the_damaged_are_not_restored,
    the_trash_is_in_order_of_deletion,
    the_newest_deletion_comes_first,
    the_trash_names_who_deleted,
    purged_ids_are_taken,
    a_purged_organization_is_forgotten,
    a_purge_takes_what_was_deleted_before,
    deletions_are_in_the_trail,
    the_trail_names_who_changed,
    accepting_leaves_a_gap,
    accepting_moves_the_token,
    a_revert_restores_the_order,
    a_revert_restores_the_ages_of_kpis,
    pruning_keeps_the_last,
    pruning_keeps_what_was_there_since,
    pruning_one_leaves_the_others,
    what_was_pruned_is_gone,
    differences_are_those_to_the_version_before,
    a_cursor_is_after_the_last_change,
    a_cursor_of_changes_is_of_one_organization,
    a_purged_organization_ends_all_cursors,
    each_dataset_is_told_once,
    deletions_are_told,
    purges_are_told,
    a_change_proves_itself,
    damage_is_told_once,
    a_watch_goes_on,
    properties_are_of_one_organization,
    the_last_property_with_a_key_holds,
    a_property_without_content_is_removed,
    a_purged_organization_has_no_properties,
    the_trash_is_counted_apart,
    a_creation_is_no_version,
}
