//! The sums over the slices of a step, of which each process computes some.
//!
//! All processes know all slices, and which are whose: the slices of a round are dealt out in their order, as among the devices of
//! one process. Of the gradients, laid out as one long row of numbers,
//!
//! ```text
//! virtual tokens, tensor by tensor | head of task 0 | head of task 1 | ...
//! ```
//!
//! each process adds up one section, an n-th. It gets that section of every slice and adds them in the order of the slices, so that
//! the sum has the same bits as in one process; rank 0 puts the sections together at the end of the step. With S slices, n
//! processes and G numbers in a slice, a process receives about S G / n numbers, and rank 0 another G, where all slices at one
//! place would be S G. Each process also gets the G numbers of the virtual tokens and heads.

use burn::tensor::{DType, Tensor};

use super::{
    group::{Command, Group},
    packet::pack,
    sections::{Layout, Section, tensor, within},
    slice_gradient::Part,
    step_slices::{OnDevice, Share, Slice, Sums, rounds},
    team::Team,
};
use crate::{
    contract::{head::Head, params, readback::Readback},
    error::{Error, Result},
    guard,
};

/// Slices of a process in a round, where there are so many: with many batches in a step, not all gradients are in memory
/// at a time.
const IN_ROUND: usize = 16;

/// What a process tells of its slices of a round.
type Told = (Asked, Result<Vec<Option<Vec<usize>>>, String>);

/// Whether it was asked to stop.
type Asked = bool;

/// What a slice adds, on the host.
struct Numbers {
    loss: f32,
    /// Of the tensors that its loss depends on, by their place among all.
    of: Vec<(usize, Vec<f32>)>,
}

/// Tells the other processes what a step is computed with, as rank 0.
pub(super) fn lead_step(group: &Group<'_>, step: usize, own: &OnDevice) -> Result<()> {
    let mut together = Readback::default();
    let mut count = 0;
    for values in values(own) {
        together.add(values);
        count += 1;
    }
    let mut found = together.read()?;
    let mut numbers = Vec::new();
    for _ in 0..count {
        numbers.extend(found.numbers::<f32>()?);
    }
    group.tell(&Command::Step { step, loss_scale: own.loss_scale }, &numbers)
}

/// With what rank 0 told, in place of the values of `own`: these numbers, and the factor of the loss.
///
/// # Errors
///
/// [`Error::Mismatch`] if these are other tensors.
pub(super) fn as_told(
    own: &OnDevice,
    numbers: Vec<f32>,
    loss_scale: Option<f64>,
) -> Result<OnDevice> {
    let expected: Vec<Tensor<1>> = values(own).collect();
    let count: usize = expected.iter().map(|values| values.dims()[0]).sum();
    if numbers.len() != count {
        return Err(Error::Mismatch(format!(
            "rank 0 sent {} numbers of virtual tokens and heads, expected {count}",
            numbers.len()
        )));
    }
    let mut rest = numbers.as_slice();
    let mut told = expected.into_iter().map(|values| {
        let (own, others) = rest.split_at(values.dims()[0]);
        rest = others;
        tensor(own.to_vec(), &values.device(), values.dtype())
    });
    let of_tokens = own.virtual_tokens.values().len();
    let tokens: Vec<Tensor<1>> = told.by_ref().take(of_tokens).collect();
    let mut head = |head: &Head| {
        let count = params::values(head).len();
        params::replace(head.clone(), told.by_ref().take(count).collect())
    };
    let heads = own.heads.iter().map(|own| own.as_ref().map(&mut head)).collect();
    let virtual_tokens = own.virtual_tokens.clone().with_values(tokens);
    Ok(OnDevice { virtual_tokens, heads, loss_scale })
}

/// Computes this process's slices of a step and adds up its section of all; rank 0 has the whole sums, the others have none.
///
/// # Errors
///
/// What went wrong here; [`Error::Peer`] for what did in another process. All processes end with an error if one does.
pub(super) fn shared_sums<'a>(
    group: &Group<'_>,
    team: &Team<'a>,
    shares: &[Share<'a>],
    own: &OnDevice,
) -> Result<Sums> {
    let (rank, size) = (group.rank(), group.size());
    let layout = Layout::of(own);
    let mut section = Section::new(layout.section(rank, size), layout.tensors.len());
    let workers = size * team.len();
    let (rounds, labelled) =
        rounds(team.first(), shares, &own.virtual_tokens, (workers, IN_ROUND * workers))?;
    let mut of_slices: Vec<Vec<f32>> = shares.iter().map(|_| Vec::new()).collect();
    for round in rounds {
        let places: Vec<usize> = round.iter().map(|slice| slice.share).collect();
        let dealt = round.into_iter().enumerate();
        let mine: Vec<Slice<'a>> =
            dealt.filter(|(place, _)| place % size == rank).map(|(_, slice)| slice).collect();
        let computed = compute(team, shares, own, &layout, mine);
        let received = give(group, &layout, computed)?;
        let mut readers: Vec<Reader<'_>> = received
            .iter()
            .enumerate()
            .map(|(rank, (slices, numbers))| Reader { rank, slices: slices.iter(), numbers })
            .collect();
        for (place, share) in places.into_iter().enumerate() {
            let Some(loss) = readers[place % size].add_slice(group, &layout, &mut section)? else {
                continue;
            };
            of_slices[share].push(loss);
        }
    }
    let whole = collect(group, &section)?;
    let home = team.first().device();
    let loss = |loss: f32| tensor(vec![loss], &home, DType::F32);
    Ok(Sums {
        labelled,
        of_slices: of_slices.into_iter().map(|own| own.into_iter().map(loss).collect()).collect(),
        ..layout.sums(&whole, &section.has, &home)
    })
}

/// Computes slices of this process. A panic is an error, as among several devices of a process.
fn compute<'a>(
    team: &Team<'a>,
    shares: &[Share<'a>],
    own: &OnDevice,
    layout: &Layout,
    slices: Vec<Slice<'a>>,
) -> Result<Vec<Option<Numbers>>> {
    let places: Vec<usize> = slices.iter().map(|slice| shares[slice.share].task).collect();
    let jobs = slices.into_iter().map(|slice| slice.job(shares, own)).collect();
    // The run ends with the error, so nothing that the panic left half done is looked at again.
    let found = guard::caught(|| {
        let parts = team.compute(jobs)?;
        read(parts, &places, layout)
    });
    found.unwrap_or_else(|panic| Err(Error::Mismatch(guard::said(panic.as_ref()))))
}

/// Reads what slices add, all at once.
fn read(
    parts: Vec<Option<Part>>,
    tasks: &[usize],
    layout: &Layout,
) -> Result<Vec<Option<Numbers>>> {
    let mut together = Readback::default();
    for part in parts.iter().flatten() {
        together.add(part.loss.clone());
        let of = part.of_tokens.iter().chain(&part.of_head).flatten();
        of.for_each(|gradient| together.add(gradient.clone()));
    }
    let mut found = together.read()?;
    let mut read = Vec::with_capacity(parts.len());
    for (part, task) in parts.into_iter().zip(tasks) {
        let Some(part) = part else {
            read.push(None);
            continue;
        };
        let loss = found.numbers::<f32>()?.first().copied().unwrap_or(0.0);
        let of_head = layout.of_heads[*task].clone();
        let places = layout.of_tokens.clone().chain(of_head);
        let gradients = part.of_tokens.into_iter().chain(part.of_head);
        let mut of = Vec::new();
        for (place, _) in places.zip(gradients).filter(|(_, gradient)| gradient.is_some()) {
            of.push((place, found.numbers::<f32>()?));
        }
        read.push(Some(Numbers { loss, of }));
    }
    Ok(read)
}

/// What a process has given to this one: which tensors its slices have, and its numbers.
type Given = (Vec<Option<Vec<usize>>>, Vec<f32>);

/// Gives each process its section of this one's slices, and returns what each has given to this one.
fn give(
    group: &Group<'_>,
    layout: &Layout,
    computed: Result<Vec<Option<Numbers>>>,
) -> Result<Vec<Given>> {
    let tensors = |own: &Numbers| own.of.iter().map(|(tensor, _)| *tensor).collect();
    let told = match &computed {
        Ok(slices) => Ok(slices.iter().map(|own| own.as_ref().map(tensors)).collect()),
        Err(error) => Err(error.to_string()),
    };
    let told: Told = (group.is_asked_to_stop(), told);
    let to = |to: usize| {
        let section = layout.section(to, group.size());
        let mut numbers = Vec::new();
        for own in computed.iter().flatten().flatten() {
            numbers.push(own.loss);
            for (place, all) in &own.of {
                let tensor = &layout.tensors[*place];
                let within = within(tensor, &section);
                let range = within.start - tensor.start..within.end - tensor.start;
                numbers.extend_from_slice(&all[range]);
            }
        }
        pack(&told, &numbers)
    };
    let to_each = (0..group.size()).map(to).collect::<Result<Vec<_>>>()?;
    let mut given = Vec::with_capacity(group.size());
    let mut failed = None;
    for (rank, bytes) in group.exchange(to_each)?.iter().enumerate() {
        let ((asked, slices), numbers) = group.read::<Told>(rank, bytes)?;
        if asked {
            group.stop();
        }
        match slices {
            Ok(slices) => given.push((slices, numbers)),
            Err(message) => {
                failed.get_or_insert((rank, message));
            }
        }
    }
    match (computed, failed) {
        (Err(error), _) => Err(group.parted(error)),
        (_, Some((rank, message))) => Err(group.parted(group.failed(rank, message))),
        _ => Ok(given),
    }
}

/// What is left to read of what a process has given.
struct Reader<'g> {
    rank: usize,
    slices: std::slice::Iter<'g, Option<Vec<usize>>>,
    numbers: &'g [f32],
}

impl<'g> Reader<'g> {
    /// Adds its next slice to the sums, and returns the loss; `None` for a slice without targets.
    fn add_slice(
        &mut self,
        group: &Group<'_>,
        layout: &Layout,
        section: &mut Section,
    ) -> Result<Option<f32>> {
        let added = self.added(layout, section);
        added.ok_or_else(|| {
            let message = "it sent other numbers than its slices have";
            group.failed(self.rank, message.into())
        })
    }

    fn added(&mut self, layout: &Layout, section: &mut Section) -> Option<Option<f32>> {
        let Some(tensors) = self.slices.next()? else { return Some(None) };
        let loss = *self.take(1)?.first()?;
        for place in tensors {
            let within = within(layout.tensors.get(*place)?, &section.range);
            let numbers = self.take(within.len())?;
            section.add(*place, within, numbers);
        }
        Some(Some(loss))
    }

    fn take(&mut self, count: usize) -> Option<&'g [f32]> {
        let (taken, rest) = self.numbers.split_at_checked(count)?;
        self.numbers = rest;
        Some(taken)
    }
}

/// Puts the sections together, on rank 0; nothing on the others.
fn collect(group: &Group<'_>, section: &Section) -> Result<Vec<f32>> {
    let mut to_each = vec![Vec::new(); group.size()];
    to_each[0] = pack(&(), &section.numbers)?;
    let given = group.exchange(to_each)?;
    if group.rank() != 0 {
        return Ok(Vec::new());
    }
    let mut whole = Vec::new();
    for (rank, bytes) in given.iter().enumerate() {
        whole.extend(group.read::<()>(rank, bytes)?.1);
    }
    Ok(whole)
}

/// The values of virtual tokens and heads, flat, on the plain device.
fn values(own: &OnDevice) -> impl Iterator<Item = Tensor<1>> {
    let heads = own.heads.iter().flatten();
    let of_heads = heads.flat_map(params::values).map(|flat| flat.values);
    own.virtual_tokens.values().into_iter().chain(of_heads)
}
