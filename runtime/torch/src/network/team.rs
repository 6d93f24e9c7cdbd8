//! Threads that train one network together.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};
use tch::TchError;

use crate::device;

/// How often a member looks whether the others have arrived before it sleeps: some ten microseconds.
const SPINS: usize = 500;

/// Threads that each do a part of the same work, and meet to add numbers up. Libtorch has one thread on each of
/// them.
#[derive(Debug)]
pub(super) struct Team {
    /// `None` for a single thread, which is the caller's.
    pool: Option<ThreadPool>,
}

impl Team {
    pub(super) fn new(threads: usize) -> Result<Self, TchError> {
        let pool = || {
            ThreadPoolBuilder::new()
                .num_threads(threads)
                .thread_name(|index| format!("training {index}"))
                .start_handler(|_| device::use_one_thread())
                .build()
        };
        let pool = (threads > 1).then(pool).transpose();
        let pool = pool.map_err(|error| {
            TchError::Torch(format!(
                "cannot start {threads} threads to train on: {error}"
            ))
        })?;
        Ok(Self { pool })
    }

    /// The number of threads.
    pub(super) fn threads(&self) -> usize {
        self.pool
            .as_ref()
            .map_or(1, ThreadPool::current_num_threads)
    }

    /// Does `work` with each of the inputs at the same time, and returns the results in the order of the
    /// inputs. With one input, the calling thread does it.
    ///
    /// # Errors
    ///
    /// The first member's own error. If a member fails or panics, the others end when they meet next.
    ///
    /// # Panics
    ///
    /// If there are more inputs than threads, or if `work` does.
    pub(super) fn run<I: Send, R: Send>(
        &self,
        inputs: Vec<I>,
        work: impl Fn(&Seat<'_>, I) -> Result<R, TchError> + Sync,
    ) -> Result<Vec<R>, TchError> {
        assert!(inputs.len() <= self.threads(), "each thread has one input");
        let meeting = Meeting::new(inputs.len());
        let seat = |index| Seat {
            meeting: &meeting,
            index,
        };
        let pool = match &self.pool {
            Some(pool) if inputs.len() > 1 => pool,
            _ => {
                let each = inputs.into_iter().map(|input| work(&seat(0), input));
                return each.collect();
            }
        };
        let inputs: Vec<_> = inputs.into_iter().map(|it| Mutex::new(Some(it))).collect();
        let results = pool.broadcast(|context| {
            let input = lock(inputs.get(context.index())?).take()?;
            // Dropped also by a panic.
            let mut leaving = Leaving {
                meeting: &meeting,
                failed: true,
            };
            let result = work(&seat(context.index()), input);
            leaving.failed = result.is_err();
            Some(result)
        });
        let results = results.into_iter().flatten().collect::<Vec<_>>();
        // Those who were left alone only report that.
        let (mut done, mut alone) = (Vec::with_capacity(results.len()), None);
        for result in results {
            match result {
                Ok(result) => done.push(result),
                Err(error) if is_alone(&error) => alone = Some(error),
                Err(error) => return Err(error),
            }
        }
        alone.map_or(Ok(done), Err)
    }
}

/// A member's place among those who work together.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    meeting: &'a Meeting,
    index: usize,
}

impl Seat<'_> {
    /// Whether this is the member that does what is to be done once.
    pub(super) fn is_first(&self) -> bool {
        self.index == 0
    }

    /// Adds up the numbers of all members, who must all call this, with as many numbers. They are added in the
    /// order of the members, so that all get the same sums, in each run.
    ///
    /// # Errors
    ///
    /// If another member has failed.
    pub(super) fn sum(&self, numbers: &mut [f64]) -> Result<(), TchError> {
        let meeting = self.meeting;
        if meeting.size == 1 {
            return Ok(());
        }
        // Two by turns: a member may be at the next sum while others still read this one, but not at the one
        // after it.
        let turn = meeting.round.load(Ordering::Acquire) % 2;
        let own = &meeting.numbers[self.index][turn];
        numbers.clone_into(&mut lock(own));
        meeting.meet()?;
        numbers.fill(0.0);
        for of_member in &meeting.numbers {
            let terms = lock(&of_member[turn]);
            let pairs = numbers.iter_mut().zip(terms.iter());
            pairs.for_each(|(sum, term)| *sum += term);
        }
        Ok(())
    }
}

/// Where members wait for each other.
#[derive(Debug)]
struct Meeting {
    size: usize,
    /// What each member adds, for the current round and the next one.
    numbers: Vec<[Mutex<Vec<f64>>; 2]>,
    /// How many have arrived in this round.
    arrived: AtomicUsize,
    /// Rounds that have ended. Changes while `sleep` is locked.
    round: AtomicUsize,
    /// Whether a member will never arrive. Changes while `sleep` is locked.
    failed: AtomicBool,
    sleep: Mutex<()>,
    changed: Condvar,
}

impl Meeting {
    fn new(size: usize) -> Self {
        Self {
            size,
            numbers: (0..size).map(|_| Default::default()).collect(),
            arrived: AtomicUsize::new(0),
            round: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            sleep: Mutex::new(()),
            changed: Condvar::new(),
        }
    }

    /// Waits until all members have called this.
    fn meet(&self) -> Result<(), TchError> {
        let round = self.round.load(Ordering::Acquire);
        if self.arrived.fetch_add(1, Ordering::AcqRel) + 1 == self.size {
            self.arrived.store(0, Ordering::Relaxed);
            self.change(|| self.round.store(round + 1, Ordering::Release));
            return Ok(());
        }
        let ended = || self.round.load(Ordering::Acquire) != round;
        let over = || ended() || self.failed.load(Ordering::Acquire);
        for _ in 0..SPINS {
            if over() {
                break;
            }
            std::hint::spin_loop();
        }
        let mut sleep = lock(&self.sleep);
        while !over() {
            let woken = self.changed.wait(sleep);
            sleep = woken.unwrap_or_else(PoisonError::into_inner);
        }
        match ended() {
            true => Ok(()),
            false => Err(TchError::Torch(ALONE.to_owned())),
        }
    }

    fn change(&self, change: impl FnOnce()) {
        let sleep = lock(&self.sleep);
        change();
        drop(sleep);
        self.changed.notify_all();
    }
}

/// Tells the others if a member goes before its work is done.
struct Leaving<'a> {
    meeting: &'a Meeting,
    failed: bool,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.failed {
            let failed = &self.meeting.failed;
            self.meeting
                .change(|| failed.store(true, Ordering::Release));
        }
    }
}

/// Of members that wait for one that has failed.
const ALONE: &str = "another thread of the training has failed";

fn is_alone(error: &TchError) -> bool {
    matches!(error, TchError::Torch(message) if message == ALONE)
}

/// What the lock guards is whole after a panic, too.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn all_members_get_the_same_sums_in_every_round() {
        for threads in 1..=5 {
            let team = Team::new(threads).unwrap();
            for size in 1..=threads {
                let members = (0..size).map(|member| member as f64).collect();
                let sums = team.run(members, |seat, member| {
                    assert_eq!(seat.is_first(), member == 0.0);
                    let mut sums = Vec::new();
                    for round in 0..200 {
                        // Of different lengths.
                        let mut numbers = vec![member + f64::from(round); 1 + round as usize % 3];
                        seat.sum(&mut numbers)?;
                        sums.push(numbers);
                    }
                    Ok(sums)
                });
                let size = size as f64;
                let of_round = |round: u32| {
                    let sum = size * (size - 1.0) / 2.0 + size * f64::from(round);
                    vec![sum; 1 + round as usize % 3]
                };
                let expected: Vec<_> = (0..200).map(of_round).collect();
                assert!(sums.unwrap().iter().all(|sums| *sums == expected));
            }
        }
    }

    #[test]
    fn nobody_waits_for_a_member_that_fails() {
        let team = Team::new(3).unwrap();
        for failing in 0..3 {
            let run = |fail: &(dyn Fn() -> Result<(), TchError> + Sync)| {
                team.run(vec![0, 1, 2], |seat, member| {
                    seat.sum(&mut [1.0])?;
                    if member == failing {
                        fail()?;
                    }
                    seat.sum(&mut [1.0])
                })
            };
            let error = run(&|| Err(TchError::Kind("no memory".to_owned()))).unwrap_err();
            assert!(error.to_string().contains("no memory"), "{error}");
            let panicking = || run(&|| panic!("as it should"));
            assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
            // The threads are as good as before.
            assert!(run(&|| Ok(())).is_ok());
        }
    }
}
