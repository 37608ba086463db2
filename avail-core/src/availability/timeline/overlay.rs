//! What several timelines come to together.

use super::{ComponentState, Timeline};
use crate::availability::moment::{Moment, Span};

/// From `at` on, what the timelines come to together: at each moment the state that ranks first.
/// Gives the changes, the state at `at` first.
pub(crate) fn overlay(
    timelines: &[(&Timeline, Span)],
    span: Span,
    rank: impl Fn(ComponentState) -> u8,
) -> Vec<(Moment, ComponentState)> {
    let mut edges = vec![span.from];
    for (timeline, part) in timelines {
        let part = part.overlap(span);
        if part.length() == 0 && !part.contains(span.from) {
            continue;
        }
        edges.push(part.from);
        edges.push(part.to);
        edges.extend(timeline.spans(part).map(|(shared, _)| shared.from));
    }
    edges.retain(|edge| *edge >= span.from && (*edge < span.to || *edge == span.from));
    edges.sort_unstable();
    edges.dedup();
    let mut changes: Vec<(Moment, ComponentState)> = Vec::new();
    for edge in edges {
        let states = timelines
            .iter()
            .filter(|(_, part)| part.contains(edge))
            .map(|(timeline, _)| timeline.at(edge));
        let Some(state) = states.min_by_key(|state| rank(*state)) else { continue };
        if changes.last().map(|last| last.1) != Some(state) {
            changes.push((edge, state));
        }
    }
    changes
}
