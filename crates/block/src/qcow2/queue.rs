// SPDX-License-Identifier: Apache-2.0
//! Requests of one thread.
//!
//! What lies in one piece of one file, and may be read or written there, becomes a request to a raw queue on that file
//! with another offset, and that is all: the usual case. A read from several places becomes several. Everything else
//! (clusters to allocate, compressed ones, tables to flush) is done by this thread inside `kick`.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use flotilla_device_model::block::{
    BlockBackend, BlockQueue, Completion, Operation, Range, Request, Segment,
};
use flotilla_memory::GuestMemory;

use super::bytes::index;
use super::chain::{Chain, Memos, Piece};
use super::events::Events;
use super::grace::Visit;
use super::guest;
use super::image::Place;
use super::write::{Clearing, Source, Writer};
use crate::engine::direct::DirectQueue;
use crate::file::{EngineChoice, RawFile};

/// Layers whose data is moved by the engine of choice; deeper ones, which are asked less, by system calls.
const ENGINE_LAYERS: usize = 4;
/// Pieces that wait for room before the thread waits for those under way: a guest can have 4 GiB read that lie in
/// thousands of pieces, many times at once.
const MAX_BACKLOG: usize = 1024;

/// What is copied at a time while no requests come: the next one must not wait long.
const TIDY_BYTES: u64 = 256 << 10;

/// A request whose pieces are under way.
struct Parent {
    token: u64,
    pieces: usize,
    total: u64,
    error: Option<io::Error>,
    visit: Visit,
}

/// Does one piece of a request: its slot, the offset on the disk, and where in the guest's memory it lies. Returns how long
/// it was.
type Step = fn(&mut Qcow2Queue, usize, u64, &[Segment], &Arc<GuestMemory>) -> io::Result<u64>;

/// A queue on an image.
pub(super) struct Qcow2Queue {
    chain: Arc<Chain>,
    memos: Memos,
    /// A raw queue for each layer.
    raw: Vec<Box<dyn BlockQueue>>,
    direct: DirectQueue,
    /// Room for a cluster that is copied.
    copy: Vec<u8>,
    depth: usize,
    /// Requests that need more than a look-up.
    waiting: VecDeque<Request>,
    parents: Vec<Option<Parent>>,
    free: Vec<usize>,
    /// Pieces for which a raw queue had no room.
    backlog: VecDeque<(usize, Request)>,
    finished: Vec<Completion>,
    /// Of the raw queues; empty except within a call.
    ended: Vec<Completion>,
    /// Why a raw queue is of no use any more, until the caller hears of it.
    fault: Option<io::Error>,
    events: Option<Events>,
}

impl Qcow2Queue {
    pub(super) fn new(chain: Arc<Chain>, depth: u16, engine: EngineChoice) -> io::Result<Self> {
        let depth = depth.max(1);
        let mut raw = Vec::new();
        for layer in 0..=chain.below.len() {
            let engine = if layer < ENGINE_LAYERS { engine } else { EngineChoice::Direct };
            let storage = chain.storage(layer);
            let file = RawFile::over(Arc::clone(storage.disk()), engine, storage.on_memory());
            raw.push(file.map_err(io::Error::other)?.open_queue(depth)?);
        }
        let events = Events::new(&raw)?;
        let direct = DirectQueue::new(Arc::clone(chain.storage(0).disk()), 1);
        Ok(Self {
            memos: chain.memos(),
            chain,
            raw,
            direct,
            copy: Vec::new(),
            depth: usize::from(depth),
            waiting: VecDeque::new(),
            parents: (0..depth).map(|_| None).collect(),
            free: (0..usize::from(depth)).rev().collect(),
            backlog: VecDeque::new(),
            finished: Vec::new(),
            ended: Vec::new(),
            fault: None,
            events,
        })
    }

    fn under_way(&self) -> usize {
        self.parents.len() - self.free.len()
    }

    /// Hands a request on as it is, if it lies in one place.
    fn try_short(&mut self, request: Request, visit: Visit) -> io::Result<()> {
        let found = match &request.operation {
            Operation::Read { offset, segments } => self.short(*offset, segments, false),
            Operation::Write { offset, segments } => self.short(*offset, segments, true),
            Operation::Flush | Operation::Discard(_) | Operation::WriteZeroes(_) => None,
        };
        let Some((layer, at, total)) = found.filter(|&(layer, ..)| self.has_room(layer)) else {
            // It looks everything up again when its turn comes: until then it must not keep clusters from being used again.
            self.chain.top.grace.leave(visit);
            self.waiting.push_back(request);
            return Ok(());
        };
        let Request { token, memory, mut operation } = request;
        if let Operation::Read { offset, .. } | Operation::Write { offset, .. } = &mut operation {
            *offset = at;
        }
        let parent = Parent { token, pieces: 1, total, error: None, visit };
        let Some(slot) = self.place(parent) else { return Err(io::ErrorKind::WouldBlock.into()) };
        let Some(queue) = self.raw.get_mut(layer) else { return Err(io::ErrorKind::InvalidInput.into()) };
        let sent = queue.submit(Request { token: slot as u64, memory, operation });
        if let Err(error) = sent {
            self.end_piece(slot, Err(error));
        }
        Ok(())
    }

    /// Layer and offset of a request that lies in one place, and its length.
    fn short(&mut self, offset: u64, segments: &[Segment], write: bool) -> Option<(usize, u64, u64)> {
        let total = guest::total(segments);
        if total == 0 || offset.checked_add(total).is_none_or(|end| end > self.chain.top.size()) {
            return None;
        }
        // A fault is found again, and reported, by the long way.
        let piece = if write {
            let extent = self.chain.top.map(self.memos.first_mut()?, offset, total).ok()?;
            Piece { layer: 0, extent }
        } else {
            self.chain.resolve(&mut self.memos, offset, total).ok()?
        };
        match piece.extent.place {
            Place::Data { at, in_place } if piece.extent.len == total && (in_place || !write) => {
                Some((piece.layer, at, total))
            }
            _ => None,
        }
    }

    fn has_room(&self, layer: usize) -> bool {
        // With a backlog nothing overtakes, or a piece could wait for ever.
        self.backlog.is_empty() && self.raw.get(layer).is_some_and(|queue| queue.in_flight() < self.depth)
    }

    fn place(&mut self, parent: Parent) -> Option<usize> {
        let slot = self.free.pop()?;
        if let Some(place) = self.parents.get_mut(slot) {
            *place = Some(parent);
        }
        Some(slot)
    }

    /// Takes the result of a piece; the last one ends its request.
    fn end_piece(&mut self, slot: usize, result: io::Result<u64>) {
        let Some(place) = self.parents.get_mut(slot) else { return };
        let Some(parent) = place else { return };
        parent.pieces -= 1;
        if let Err(error) = result {
            parent.error.get_or_insert(error);
        }
        if parent.pieces > 0 {
            return;
        }
        if let Some(parent) = place.take() {
            self.free.push(slot);
            self.chain.top.grace.leave(parent.visit);
            let result = parent.error.map_or(Ok(parent.total), Err);
            self.finished.push(Completion { token: parent.token, result });
        }
    }

    /// Does what needs more than a look-up.
    fn work(&mut self, request: Request, visit: Visit) {
        let Request { token, memory, operation } = request;
        let result = match operation {
            Operation::Read { offset, segments } => {
                return self.long(token, visit, (offset, &segments), &memory, Self::read_piece);
            }
            Operation::Write { offset, segments } if self.chain.top.metadata.is_some() => {
                self.long(token, visit, (offset, &segments), &memory, Self::write_piece);
                return;
            }
            Operation::Write { .. } => Err(io::Error::from_raw_os_error(libc::EROFS)),
            Operation::Flush => return self.flush(token, visit, &memory),
            Operation::Discard(ranges) => self.clear(&ranges, |_| Clearing::Discard),
            Operation::WriteZeroes(ranges) => {
                self.clear(&ranges, |range| if range.unmap { Clearing::Unmap } else { Clearing::Keep })
            }
        };
        self.chain.top.grace.leave(visit);
        self.finished.push(Completion { token, result });
    }

    /// Goes through a request piece by piece. `step` does one and says how long it was.
    fn long(
        &mut self,
        token: u64,
        visit: Visit,
        (offset, segments): (u64, &[Segment]),
        memory: &Arc<GuestMemory>,
        step: Step,
    ) {
        let total = guest::total(segments);
        // One piece more than there are, so that the request does not end while it is still being cut.
        let Some(slot) = self.place(Parent { token, pieces: 1, total, error: None, visit }) else { return };
        let mut result = Ok(total);
        if offset.checked_add(total).is_none_or(|end| end > self.chain.top.size()) {
            let past_end = io::Error::new(io::ErrorKind::InvalidInput, "request ends past the disk");
            return self.end_piece(slot, Err(past_end));
        }
        let mut done = 0;
        while done < total {
            if self.backlog.len() >= MAX_BACKLOG
                && let Err(error) = self.empty_backlog()
            {
                result = Err(io::Error::other("a queue of the host is gone"));
                self.fault = Some(error);
                break;
            }
            let rest;
            let left = if done == 0 {
                segments
            } else {
                rest = guest::cut(segments, done, total - done);
                &rest
            };
            match step(self, slot, offset + done, left, memory) {
                Ok(len) => done += len,
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.end_piece(slot, result);
    }

    fn read_piece(
        &mut self,
        slot: usize,
        offset: u64,
        segments: &[Segment],
        memory: &Arc<GuestMemory>,
    ) -> io::Result<u64> {
        let piece = self.chain.resolve(&mut self.memos, offset, guest::total(segments))?;
        let len = piece.extent.len;
        let segments = guest::cut(segments, 0, len);
        match piece.extent.place {
            Place::Data { at, .. } => {
                let operation = Operation::Read { offset: at, segments: segments.into() };
                self.enqueue(slot, piece.layer, memory, operation);
            }
            Place::Hole | Place::Zero => guest::clear(memory, &segments)?,
            Place::Compressed { .. } => {
                let mut data = vec![0; index(len)];
                self.chain.read_piece(piece, offset, &mut data)?;
                guest::give(memory, &segments, &data)?;
            }
        }
        Ok(len)
    }

    fn write_piece(
        &mut self,
        slot: usize,
        offset: u64,
        segments: &[Segment],
        memory: &Arc<GuestMemory>,
    ) -> io::Result<u64> {
        let total = guest::total(segments);
        loop {
            let memo = self.memos.first_mut().ok_or(io::ErrorKind::InvalidInput)?;
            let extent = self.chain.top.map(memo, offset, total)?;
            if let Place::Data { at, in_place: true } = extent.place {
                let segments = guest::cut(segments, 0, extent.len).into();
                self.enqueue(slot, 0, memory, Operation::Write { offset: at, segments });
                return Ok(extent.len);
            }
            let chain = Arc::clone(&self.chain);
            let mut writer = Writer {
                chain: &chain,
                memos: &mut self.memos,
                direct: &mut self.direct,
                copy: &mut self.copy,
            };
            // What was written of a cluster before is no reason to write the rest in pieces.
            let rest = chain.top.geometry.cluster_size() - chain.top.geometry.within(offset);
            let len = extent.len.max(rest.min(total));
            let written = writer.store(offset, len, Source::Guest { memory, segments })?;
            chain.top.relieve()?;
            // Zero: another thread allocated the place meanwhile.
            if written > 0 {
                return Ok(written);
            }
        }
    }

    fn enqueue(&mut self, slot: usize, layer: usize, memory: &Arc<GuestMemory>, operation: Operation) {
        if let Some(Some(parent)) = self.parents.get_mut(slot) {
            parent.pieces += 1;
        }
        let request = Request { token: slot as u64, memory: Arc::clone(memory), operation };
        self.backlog.push_back((layer, request));
    }

    fn clear(&self, ranges: &[Range], how: impl Fn(&Range) -> Clearing) -> io::Result<u64> {
        if self.chain.top.metadata.is_none() {
            return Err(io::Error::from_raw_os_error(libc::EROFS));
        }
        for range in ranges {
            if range.offset.checked_add(range.len).is_none_or(|end| end > self.chain.top.size()) {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "request ends past the disk"));
            }
            clear_all(&self.chain, range.offset, range.len, how(range))?;
        }
        Ok(0)
    }

    fn flush(&mut self, token: u64, visit: Visit, memory: &Arc<GuestMemory>) {
        let top = &self.chain.top;
        if top.metadata.is_some() && top.is_clean() {
            // Only data: the raw queue does that without making this thread wait.
            let parent = Parent { token, pieces: 0, total: 0, error: None, visit };
            if let Some(slot) = self.place(parent) {
                self.enqueue(slot, 0, memory, Operation::Flush);
            }
            return;
        }
        let result = if top.metadata.is_some() { self.chain.flush() } else { Ok(()) };
        top.grace.leave(visit);
        self.finished.push(Completion { token, result: result.map(|()| 0) });
    }

    /// Gives pieces to the raw queues as long as they have room. Returns whether some were given.
    fn pump(&mut self) -> bool {
        let mut moved = false;
        while let Some((layer, request)) = self.backlog.pop_front() {
            let Some(queue) = self.raw.get_mut(layer) else { continue };
            if queue.in_flight() >= self.depth {
                self.backlog.push_front((layer, request));
                return moved;
            }
            moved = true;
            let slot = index(request.token);
            if let Err(error) = queue.submit(request) {
                self.end_piece(slot, Err(error));
            }
        }
        moved
    }

    /// Waits until the raw queues have done everything, so that what is cut next does not pile up.
    fn empty_backlog(&mut self) -> io::Result<()> {
        while self.pump() {
            for queue in &mut self.raw {
                queue.drain(&mut self.ended)?;
            }
            self.settle();
        }
        Ok(())
    }

    /// Starts pieces, and takes the results of those that end at once, until all wait for the host.
    fn start(&mut self) -> io::Result<()> {
        loop {
            let moved = self.pump();
            for queue in &mut self.raw {
                queue.kick()?;
                if queue.completion_event().is_none() {
                    queue.reap(&mut self.ended)?;
                }
            }
            self.settle();
            if !moved || self.backlog.is_empty() {
                return Ok(());
            }
        }
    }

    fn settle(&mut self) {
        let mut ended = std::mem::take(&mut self.ended);
        for Completion { token, result } in ended.drain(..) {
            self.end_piece(index(token), result);
        }
        self.ended = ended;
    }
}

impl BlockQueue for Qcow2Queue {
    fn begin(&mut self) {
        for queue in &mut self.raw {
            queue.begin();
        }
    }

    fn submit(&mut self, request: Request) -> io::Result<()> {
        if self.in_flight() >= self.depth {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let visit = self.chain.top.grace.enter();
        self.try_short(request, visit)
    }

    fn kick(&mut self) -> io::Result<()> {
        while let Some(request) = self.waiting.pop_front() {
            let visit = self.chain.top.grace.enter();
            self.work(request, visit);
        }
        if let Some(error) = self.fault.take() {
            return Err(error);
        }
        self.start()?;
        if let Some(events) = &self.events
            && !self.finished.is_empty()
        {
            events.raise();
        }
        Ok(())
    }

    fn completion_event(&self) -> Option<BorrowedFd<'_>> {
        self.events.as_ref().map(Events::descriptor)
    }

    fn reap(&mut self, done: &mut Vec<Completion>) -> io::Result<()> {
        if let Some(events) = &self.events {
            events.clear();
        }
        for queue in &mut self.raw {
            queue.reap(&mut self.ended)?;
        }
        self.settle();
        if !self.backlog.is_empty() {
            self.start()?;
        }
        done.append(&mut self.finished);
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.under_way() + self.waiting.len() + self.finished.len()
    }

    fn drain(&mut self, done: &mut Vec<Completion>) -> io::Result<()> {
        loop {
            self.kick()?;
            for queue in &mut self.raw {
                queue.drain(&mut self.ended)?;
            }
            self.settle();
            if self.under_way() == 0 && self.waiting.is_empty() {
                break;
            }
        }
        self.reap(done)?;
        // Whoever waits for the end of everything may want to see the image as it is, or hand it to another process.
        let top = &self.chain.top;
        if top.metadata.is_some() && !top.is_clean() {
            self.chain.flush()?;
        }
        Ok(())
    }

    fn has_leftovers(&self) -> bool {
        !self.chain.top.partials.is_empty()
    }

    fn tidy(&mut self) -> io::Result<()> {
        let clusters = (TIDY_BYTES >> self.chain.top.geometry.cluster_bits).max(1);
        self.chain.complete_some(index(clusters))
    }
}

impl Drop for Qcow2Queue {
    fn drop(&mut self) {
        // No piece is left behind whose memory or cluster somebody else could use.
        if let Err(error) = self.drain(&mut Vec::new()) {
            tracing::error!(%error, "requests to a disk image did not end");
        }
    }
}

/// Makes a part of the disk zero, on the calling thread.
pub(super) fn clear(chain: &Chain, offset: u64, len: u64, how: Clearing) -> io::Result<()> {
    if offset.checked_add(len).is_none_or(|end| end > chain.top.size()) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "request ends past the disk"));
    }
    let visit = chain.top.grace.enter();
    let result = clear_all(chain, offset, len, how);
    chain.top.grace.leave(visit);
    result
}

fn clear_all(chain: &Chain, offset: u64, len: u64, how: Clearing) -> io::Result<()> {
    let mut direct = DirectQueue::new(Arc::clone(chain.storage(0).disk()), 1);
    let (mut memos, mut copy) = (chain.memos(), Vec::new());
    let (mut at, end) = (offset, offset + len);
    while at < end {
        let mut writer = Writer { chain, memos: &mut memos, direct: &mut direct, copy: &mut copy };
        at += writer.clear(at, end - at, how)?;
        chain.top.relieve()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flotilla_memory::{Backing, Bytes, GuestAddress, allocate};

    use super::*;
    use crate::{Qcow2, Qcow2Create, Qcow2Options};

    const LEN: u32 = 2 << 20;
    const DEPTH: u16 = 8;

    #[test]
    fn a_request_for_thousands_of_pieces_does_not_hold_them_all_in_memory() {
        for engine in [EngineChoice::Direct, EngineChoice::Automatic] {
            let file = tempfile::tempfile().unwrap();
            let create = Qcow2Create { cluster_size: 512, ..Qcow2Create::new(LEN.into()) };
            create.write(file.try_clone().unwrap()).unwrap();
            let disk = Qcow2::open(file, &[], Qcow2Options { read_only: false, engine }).unwrap();
            let memory = allocate(&[(GuestAddress(0), 2 * u64::from(LEN))], Backing::Anonymous).unwrap();
            let mut queue = Qcow2Queue::new(Arc::clone(&disk.chain), DEPTH, engine).unwrap();
            let mut run = |operations: Vec<Operation>| {
                let count = operations.len();
                for operation in operations {
                    queue.submit(Request { token: 1, memory: Arc::clone(&memory), operation }).unwrap();
                }
                let mut done = Vec::new();
                queue.drain(&mut done).unwrap();
                assert!(done.len() == count && done.iter().all(|completion| completion.result.is_ok()));
                queue.backlog.capacity()
            };
            let at = |address, len| crate::tests::segments(&[(address, len)]);
            // Backwards, so that no two of them lie one behind the other.
            let clusters: Vec<u32> = (0..LEN / 512).rev().collect();
            for clusters in clusters.chunks(DEPTH.into()) {
                let write = |cluster: &u32| {
                    let offset = u64::from(*cluster) * 512;
                    let bytes = [u8::try_from(cluster % 251).unwrap(); 512];
                    memory.write_slice(&bytes, GuestAddress(offset)).unwrap();
                    Operation::Write { offset, segments: at(offset, 512) }
                };
                run(clusters.iter().map(write).collect());
            }
            let held = run(vec![Operation::Read { offset: 0, segments: at(u64::from(LEN), LEN) }]);
            assert!(held <= 2 * MAX_BACKLOG, "{held} pieces in memory");
            let content = |address| {
                let mut content = vec![0; index(LEN.into())];
                memory.read_slice(&mut content, GuestAddress(address)).unwrap();
                content
            };
            assert!(content(0) == content(LEN.into()));
        }
    }
}
