//! Whether a JPEG file has all of its picture. Decoders fill what is missing with grey.

use std::iter;

#[cfg(test)]
mod tests;

const RESTARTS: std::ops::RangeInclusive<u8> = 0xd0..=0xd7;
const START: u8 = 0xd8;
const END: u8 = 0xd9;
const SCAN: u8 = 0xda;

/// The most that a picture has: CMYK.
const MAX_COMPONENTS: usize = 4;

/// The largest side, in pixels.
pub(crate) const MAX_SIDE: usize = 16_384;

/// Whether a file is a JPEG whose picture ends early, as after a download that was interrupted.
///
/// `image`, and most decoders, show such a file with the missing part grey, or less detailed. A file
/// that has its end marker is taken to be whole if it has any picture data. In a file without one,
/// which must then have at most 16,384 pixels per side,
/// the picture data is decoded far enough to know whether a part of it is missing. The time for that
/// is about that of decoding the image; its memory, only for progressive files, 8 bytes per block of
/// 64 samples.
#[must_use]
pub fn jpeg_ends_early(file: &[u8]) -> bool {
    file.starts_with(&[0xff, START]) && !has_end(file) && !has_all_scans(file)
}

/// The EXIF block of a JPEG file, in which its orientation is. `None` if there is none before the picture, or the file
/// is not a JPEG.
#[must_use]
pub fn jpeg_exif(file: &[u8]) -> Option<&[u8]> {
    const EXIF: u8 = 0xe1;
    let headers = segments(file).take_while(|segment| segment.marker != SCAN);
    let mut exif = headers.filter(|segment| segment.marker == EXIF);
    exif.find_map(|segment| segment.header.strip_prefix(b"Exif\0\0"))
        .filter(|_| file.starts_with(&[0xff, START]))
}

fn has_end(file: &[u8]) -> bool {
    let mut has_data = false;
    segments(file).any(|segment| {
        has_data |= !segment.data.is_empty();
        segment.marker == END && has_data
    })
}

fn has_all_scans(file: &[u8]) -> bool {
    /// The decoder refuses progressive files with more scans. It bounds the time, because some scans
    /// of a few bytes are about every block.
    const MAX_SCANS: usize = 100;

    let mut picture = Picture::default();
    let mut scans = 0;
    for segment in segments(file) {
        let read = match segment.marker {
            0xc0..=0xc2 => picture.start(segment.header, segment.marker == 0xc2),
            0xc4 => picture.add_tables(segment.header),
            0xdd => picture.set_interval(segment.header),
            SCAN => {
                scans += 1;
                picture.read_scan(segment.header, segment.data)
            }
            _ => Some(()),
        };
        if read.is_none() || scans > MAX_SCANS {
            return false;
        }
    }
    let mut components = picture.components.iter();
    scans > 0 && components.all(|component| component.missing_bits == [0; 64])
}

/// A marker, what its header says, and what is coded after the header of a scan.
struct Segment<'a> {
    marker: u8,
    header: &'a [u8],
    data: &'a [u8],
}

/// The segments of a file, up to the first that is not whole.
fn segments(file: &[u8]) -> impl Iterator<Item = Segment<'_>> {
    let mut rest = file;
    iter::from_fn(move || {
        let (_, from) = rest.split_at(next_marker(rest)?);
        let marker = from[1];
        rest = &from[2..];
        let (mut header, mut data): (&[u8], &[u8]) = (&[], &[]);
        if !matches!(marker, 0x01 | START | END) {
            let (length, _) = rest.split_first_chunk()?;
            let length = usize::from(u16::from_be_bytes(*length));
            header = rest.get(2..length)?;
            rest = &rest[length..];
        }
        if marker == SCAN {
            (data, rest) = rest.split_at(next_marker(rest).unwrap_or(rest.len()));
        }
        Some(Segment {
            marker,
            header,
            data,
        })
    })
}

/// Where the next marker is that does not belong to the data of a scan.
fn next_marker(bytes: &[u8]) -> Option<usize> {
    let is_marker = |next: u8| !matches!(next, 0 | 0xff) && !RESTARTS.contains(&next);
    let mut candidates = memchr::memchr_iter(0xff, bytes);
    candidates.find(|at| bytes.get(at + 1).is_some_and(|next| is_marker(*next)))
}

#[derive(Default)]
struct Picture {
    progressive: bool,
    /// Width and height, in pixels.
    size: [usize; 2],
    /// The maximum sampling factors of the components.
    max_factors: [usize; 2],
    components: Vec<Component>,
    /// Those for the first coefficient, and those for the others.
    tables: [[Option<Table>; 4]; 2],
    /// How many units are between two restarts; 0 for no restarts.
    interval: usize,
}

struct Component {
    id: u8,
    /// Blocks per unit of a scan of several components, across and down.
    factors: [usize; 2],
    /// By coefficient, in the order of the file, how many of its low bits have not been read; `u8::MAX`
    /// if no bit has.
    missing_bits: [u8; 64],
    /// By block, the coefficients that are known not to be zero.
    nonzero: Vec<u64>,
}

/// A component in a scan.
struct Coded {
    component: usize,
    tables: [usize; 2],
}

/// The part of the coefficients that a scan codes.
struct Band {
    first: usize,
    last: usize,
    refines: bool,
}

/// A Huffman table: how many codes there are of each length, and the symbols by code.
struct Table {
    counts: [u8; 16],
    symbols: Vec<u8>,
}

// In all of these, `None` means that something is missing, or impossible.
impl Picture {
    fn start(&mut self, header: &[u8], progressive: bool) -> Option<()> {
        let &[_, high, low, wide, narrow, _, ref components @ ..] = header else {
            return None;
        };
        // A file has one picture. With these bounds, walking through it takes little time and memory
        // whatever it claims, even where a decoder would stop earlier.
        if !self.components.is_empty() || components.len() > 3 * MAX_COMPONENTS {
            return None;
        }
        self.size = [[wide, narrow], [high, low]].map(|side| usize::from(u16::from_be_bytes(side)));
        self.progressive = progressive;
        self.components = (components.as_chunks::<3>().0.iter())
            .map(|&[id, factors, _]| Component {
                id,
                factors: [factors >> 4, factors & 15].map(usize::from),
                missing_bits: [u8::MAX; 64],
                nonzero: Vec::new(),
            })
            .collect();
        let max = |axis: usize| {
            self.components
                .iter()
                .map(move |one| one.factors[axis])
                .max()
        };
        self.max_factors = [max(0)?, max(1)?];
        if self.size.iter().any(|side| *side > MAX_SIDE) {
            return None;
        }
        let sides = self.size.iter().chain(&self.max_factors);
        let mut factors = self
            .components
            .iter()
            .flat_map(|component| component.factors);
        (sides.copied().all(|side| side > 0) && factors.all(|factor| (1..=4).contains(&factor)))
            .then_some(())
    }

    fn add_tables(&mut self, mut header: &[u8]) -> Option<()> {
        while let Some((&selector, rest)) = header.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>()?;
            let length = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(length)?;
            let table = Table {
                counts: *counts,
                symbols: symbols.to_owned(),
            };
            let tables = self.tables.get_mut(usize::from(selector >> 4))?;
            *tables.get_mut(usize::from(selector & 15))? = Some(table);
            header = rest;
        }
        Some(())
    }

    fn set_interval(&mut self, header: &[u8]) -> Option<()> {
        let (interval, _) = header.split_first_chunk()?;
        self.interval = usize::from(u16::from_be_bytes(*interval));
        Some(())
    }

    fn read_scan(&mut self, header: &[u8], data: &[u8]) -> Option<()> {
        let (&count, header) = header.split_first()?;
        let (coded, header) = header.split_at_checked(2 * usize::from(count))?;
        let coded = coded.as_chunks::<2>().0.iter().map(|&[id, tables]| {
            let component = self.components.iter().position(|one| one.id == id)?;
            let tables = [tables >> 4, tables & 15].map(usize::from);
            Some(Coded { component, tables })
        });
        let coded: Vec<Coded> = coded.collect::<Option<_>>()?;
        let each_once = |(index, one): (usize, &Coded)| {
            let mut earlier = coded[..index].iter();
            earlier.all(|other| other.component != one.component)
        };
        if coded.is_empty() || !coded.iter().enumerate().all(each_once) {
            return None;
        }
        let &[first, last, bits] = header.first_chunk()?;
        let (band, low) = match self.progressive {
            true => (Band::new(first, last, bits >> 4 != 0)?, bits & 15),
            false => (Band::new(0, 63, false)?, 0),
        };

        // In progressive pictures, a scan has either the first coefficient or others of one component.
        if self.progressive && band.last > 0 && (band.first == 0 || coded.len() > 1) {
            return None;
        }
        let mut bits = Bits::new(data);
        let mut blocks_to_skip = 0;
        let [across, down] = self.units(&coded);
        for unit in 0..across * down {
            if self.interval > 0 && unit > 0 && unit % self.interval == 0 {
                bits.restart()?;
                blocks_to_skip = 0;
            }
            let (x, y) = (unit % across, unit / across);
            for one in &coded {
                let factors = self.components[one.component].factors;
                let [wide, high] = if coded.len() > 1 { factors } else { [1, 1] };
                let stride = self.blocks(factors)[0];
                for block in 0..wide * high {
                    let (x, y) = (x * wide + block % wide, y * high + block / wide);
                    self.read_block(&mut bits, one, y * stride + x, &band, &mut blocks_to_skip)?;
                }
            }
        }
        for one in &coded {
            self.components[one.component].missing_bits[band.first..=band.last].fill(low);
        }
        Some(())
    }

    /// How many units a scan has, across and down: blocks of a component that is alone, and else
    /// groups of all components' blocks.
    fn units(&self, coded: &[Coded]) -> [usize; 2] {
        match coded {
            [one] => {
                let factors = self.components[one.component].factors;
                [0, 1].map(|axis| {
                    let samples = self.size[axis] * factors[axis];
                    samples.div_ceil(8 * self.max_factors[axis])
                })
            }
            _ => [0, 1].map(|axis| self.size[axis].div_ceil(8 * self.max_factors[axis])),
        }
    }

    /// How many blocks a component has in scans of several components, across and down.
    fn blocks(&self, factors: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| self.size[axis].div_ceil(8 * self.max_factors[axis]) * factors[axis])
    }

    fn read_block(
        &mut self,
        bits: &mut Bits<'_>,
        coded: &Coded,
        block: usize,
        band: &Band,
        blocks_to_skip: &mut u32,
    ) -> Option<()> {
        let [first_table, table] = [0, 1].map(|class| self.tables[class].get(coded.tables[class]));
        let mut index = band.first;
        if index == 0 {
            if band.refines {
                bits.next()?;
            } else {
                let length = bits.symbol(first_table?.as_ref()?)?;
                bits.take(u32::from(length))?;
            }
            index = 1;
        }
        if band.last == 0 {
            return Some(());
        }
        let table = table?.as_ref()?;
        if !self.progressive {
            while index < 64 {
                let (zeros, length) = bits.run(table)?;
                match (zeros, length) {
                    (15, 0) => index += 16,
                    (_, 0) => break,
                    _ => {
                        bits.take(length)?;
                        index += zeros + 1;
                    }
                }
            }
            return Some(());
        }

        let blocks = self.blocks(self.components[coded.component].factors);
        let nonzero = &mut self.components[coded.component].nonzero;
        nonzero.resize(blocks[0] * blocks[1], 0);
        let nonzero = nonzero.get_mut(block)?;
        // The rest of a block that has only zeros beside what is known not to be zero.
        let mut ends = *blocks_to_skip > 0;
        while index <= band.last && !ends {
            let (mut zeros, length) = bits.run(table)?;
            if length == 0 && zeros < 15 {
                *blocks_to_skip = (1 << zeros) + bits.take(zeros as u32)?;
                ends = true;
                break;
            }
            bits.take(length)?;
            while index <= band.last {
                if band.refines && *nonzero >> index & 1 == 1 {
                    bits.next()?;
                } else if zeros == 0 {
                    break;
                } else {
                    zeros -= 1;
                }
                index += 1;
            }
            if length > 0 {
                *nonzero |= 1_u64.checked_shl(index as u32)?;
            }
            index += 1;
        }
        if ends {
            *blocks_to_skip -= 1;
            if band.refines && index <= band.last {
                let rest = *nonzero >> index & (u64::MAX >> (63 - (band.last - index)));
                bits.take(rest.count_ones())?;
            }
        }
        Some(())
    }
}

impl Band {
    fn new(first: u8, last: u8, refines: bool) -> Option<Self> {
        let [first, last] = [first, last].map(usize::from);
        (first <= last && last < 64).then_some(Self {
            first,
            last,
            refines,
        })
    }
}

/// Reads the data of a scan bit by bit.
struct Bits<'a> {
    rest: &'a [u8],
    byte: u8,
    left: u32,
}

impl<'a> Bits<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self {
            rest,
            byte: 0,
            left: 0,
        }
    }

    fn next(&mut self) -> Option<u32> {
        if self.left == 0 {
            (self.byte, self.rest) = match *self.rest {
                [0xff, 0, ref rest @ ..] => (0xff, rest),
                // A restart: the data before it is too short.
                [0xff, ..] => return None,
                [byte, ref rest @ ..] => (byte, rest),
                [] => return None,
            };
            self.left = 8;
        }
        self.left -= 1;
        Some(u32::from(self.byte >> self.left & 1))
    }

    /// The number that the next bits are; the lowest 32 of them count.
    fn take(&mut self, count: u32) -> Option<u32> {
        (0..count).try_fold(0, |number, _| Some(number << 1 | self.next()?))
    }

    fn symbol(&mut self, table: &Table) -> Option<u8> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for &count in &table.counts {
            let count = u32::from(count);
            code = code << 1 | self.next()?;
            first <<= 1;
            if code < first + count {
                return table
                    .symbols
                    .get((index + code.checked_sub(first)?) as usize)
                    .copied();
            }
            first += count;
            index += count;
        }
        None
    }

    /// How many zeros come before a coefficient, and its length in bits.
    fn run(&mut self, table: &Table) -> Option<(usize, u32)> {
        let symbol = self.symbol(table)?;
        Some((usize::from(symbol >> 4), u32::from(symbol & 15)))
    }

    /// Goes on after the next restart marker.
    fn restart(&mut self) -> Option<()> {
        let mut pairs = self.rest.windows(2);
        let restart = pairs.position(|pair| pair[0] == 0xff && RESTARTS.contains(&pair[1]))?;
        self.rest = &self.rest[restart + 2..];
        self.left = 0;
        Some(())
    }
}
