/// FNV-1a, 64 bits: a digest against damage, not against forgery. Any change of a single byte changes it.
/// Files of runs record it, so it never changes.
///
/// ```
/// assert_eq!(faa_system::fnv1a(*b"foobar"), 0x8594_4171_f739_67e8);
/// ```
pub fn fnv1a(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes
        .into_iter()
        .fold(0xcbf2_9ce4_8422_2325, |digest, byte| {
            (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}
