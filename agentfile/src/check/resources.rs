//! `LIMIT`, `SLICE`, `TIMEOUT`, `RATELIMIT`: how much. Each bound has one source, and a number that a kernel can hold.

use super::{Check, InsertFirst as _, Once};
use crate::boundary::{Counted, Quantity};
use crate::diag::Diagnostic;
use crate::place::Place;
use crate::span::Span;
use crate::syntax::{LimitName, Word};

/// The kernel keeps most bounds in a signed long.
const VALUE_MAX: u64 = i64::MAX as u64;
/// Least memory that a process can start in.
const MEMORY_MIN: u64 = 1 << 20;
/// Least quota that cgroup v2 takes: 1 ms of a period of 100 ms, a hundredth of a CPU.
const CPU_MIN_MILLIS: u64 = 10;
/// Most CPUs; the quota in microseconds stays far below the kernel's bound.
const CPU_MAX_MILLIS: u64 = 1_000_000;

/// How a limit is written.
fn limit_word(name: LimitName) -> &'static str {
    match name {
        LimitName::ToolCalls => "tool_calls",
        LimitName::NetworkRequests => "network_requests",
        LimitName::MaxOutput => "max_output",
        LimitName::EgressBytes => "egress_bytes",
        LimitName::Memory => "memory",
        LimitName::Cpu => "cpu",
        LimitName::Pids => "pids",
        LimitName::OpenFiles => "open_files",
        LimitName::Disk => "disk",
        LimitName::Wall => "wall",
    }
}

impl Check<'_> {
    pub(super) fn limit(&mut self, name: LimitName, value: u64, per: Option<u64>, span: Span, place: Place) {
        let word = limit_word(name);
        // The same bound by another directive (SLICE, TIMEOUT) is found by `bound`.
        if let Some(first) = self.first.insert_first(Once::Name("LIMIT", word.to_owned()), span) {
            self.twice(word, first, span);
            return;
        }
        let rated =
            matches!(name, LimitName::ToolCalls | LimitName::NetworkRequests | LimitName::EgressBytes);
        if per.is_some() && !rated {
            self.error(
                "E056",
                span,
                format!("`{word}` is an amount, not a rate"),
                format!("write `LIMIT {word} VALUE` without the `/unit`"),
            );
            return;
        }
        if !self.in_range(name, value, span) {
            return;
        }
        let quantity = Quantity { value, place: place.clone() };
        match name {
            LimitName::Memory => self.bound(Bound::Memory, quantity, span),
            LimitName::Cpu => self.bound(Bound::Cpu, quantity, span),
            LimitName::Wall => self.bound(Bound::Wall, quantity, span),
            LimitName::Pids => self.out.limits.pids = Some(quantity),
            LimitName::OpenFiles => self.out.limits.open_files = Some(quantity),
            LimitName::Disk => self.out.limits.disk = Some(quantity),
            LimitName::ToolCalls
            | LimitName::NetworkRequests
            | LimitName::MaxOutput
            | LimitName::EgressBytes => {
                self.out.limits.counted.push(Counted {
                    name: word.to_owned(),
                    value,
                    per_seconds: per,
                    of_run: true,
                    place,
                });
            }
        }
    }

    fn in_range(&mut self, name: LimitName, value: u64, span: Span) -> bool {
        let (least, most, unit) = match name {
            LimitName::Memory => (MEMORY_MIN, VALUE_MAX, "at least 1 MiB, which a process needs to start"),
            LimitName::Cpu => (CPU_MIN_MILLIS, CPU_MAX_MILLIS, "from 0.01 to 1000 CPUs"),
            LimitName::Pids => (2, 4_194_304, "from 2 (the sandbox's init, and the command) to 4194304"),
            LimitName::OpenFiles => (16, 1_048_576, "from 16 to 1048576"),
            LimitName::Disk => (1 << 20, VALUE_MAX, "at least 1 MiB"),
            LimitName::Wall => (1, VALUE_MAX / 1_000_000_000, "at least 1 second"),
            LimitName::ToolCalls
            | LimitName::NetworkRequests
            | LimitName::MaxOutput
            | LimitName::EgressBytes => {
                // None at all is a limit, too.
                (0, VALUE_MAX, "at most 9223372036854775807")
            }
        };
        let fits = (least..=most).contains(&value);
        if !fits {
            self.error(
                "E054",
                span,
                format!("`{}` is out of range", limit_word(name)),
                format!("write {unit}"),
            );
        }
        fits
    }

    pub(super) fn timeout(&mut self, seconds: u64, value: Span, place: Place) {
        if self.once("TIMEOUT", place.span) && self.in_range(LimitName::Wall, seconds, value) {
            self.bound(Bound::Wall, Quantity { value: seconds, place }, value);
        }
    }

    pub(super) fn slice(&mut self, cpu: Option<(u64, Span)>, memory: Option<(u64, Span)>, keyword: Span) {
        if !self.once("SLICE", keyword) {
            return;
        }
        for (bound, name, value) in
            [(Bound::Cpu, LimitName::Cpu, cpu), (Bound::Memory, LimitName::Memory, memory)]
        {
            if let Some((value, span)) = value
                && self.in_range(name, value, span)
            {
                self.bound(bound, Quantity { value, place: self.places.place(span) }, span);
            }
        }
    }

    /// Sets a bound that two directives can set; they may agree.
    fn bound(&mut self, bound: Bound, quantity: Quantity, span: Span) {
        let (word, slot) = match bound {
            Bound::Memory => ("memory", &mut self.out.limits.memory),
            Bound::Cpu => ("cpu", &mut self.out.limits.cpu_millis),
            Bound::Wall => ("wall time", &mut self.out.limits.wall),
        };
        match slot {
            None => *slot = Some(quantity),
            Some(first) if first.value == quantity.value => {}
            Some(first) => {
                let related = first.place.span;
                let lines = (self.places.line(related.start), self.places.line(span.start));
                self.diagnostics.push(
                    Diagnostic::error(
                        "E055",
                        span,
                        format!("lines {} and {} set different limits of {word}", lines.0, lines.1),
                    )
                    .help("let both say the same, or remove one")
                    .related(related, "the first is here"),
                );
            }
        }
    }

    pub(super) fn rate_limit(
        &mut self,
        target: &Word,
        count: u64,
        per_seconds: u64,
        rate: Span,
        place: Place,
    ) {
        if let Some(first) =
            self.first.insert_first(Once::Name("RATELIMIT", target.text.clone()), target.span)
        {
            self.twice(&target.text, first, target.span);
            return;
        }
        if count > VALUE_MAX || per_seconds == 0 {
            self.error("E054", rate, "this rate is out of range", "write a rate such as `20/hour`");
            return;
        }
        self.rate_targets.push(target.clone());
        let name = target.text.clone();
        let per_seconds = Some(per_seconds);
        self.out.limits.counted.push(Counted { name, value: count, per_seconds, of_run: false, place });
    }

    fn twice(&mut self, what: &str, first: Span, span: Span) {
        let lines = (self.places.line(first.start), self.places.line(span.start));
        self.diagnostics.push(
            Diagnostic::error(
                "E053",
                span,
                format!("`{what}` is limited twice, on lines {} and {}", lines.0, lines.1),
            )
            .help("keep one of them")
            .related(first, "the first is here"),
        );
    }

    /// A disk limit is divided among the private directories: each must get at least a page.
    pub(super) fn finish_resources(&mut self) {
        let Some(disk) = self.out.limits.disk.clone() else { return };
        if !crate::lower::mounts::disk_fits(&self.out) {
            self.error(
                "E077",
                disk.place.span,
                "this is too little disk for the private directories of the sandbox",
                "raise it, or declare fewer MOUNTs: each gets a part of it",
            );
        }
    }
}

/// Bounds that two directives can set.
#[derive(Debug, Clone, Copy)]
enum Bound {
    Memory,
    Cpu,
    Wall,
}
