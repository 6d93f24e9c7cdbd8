;; A plugin written by hand, with one op without a value: `ChannelSwap`, which swaps red and blue.
;; It is a minimal plugin; ABI.md specifies the exports.
;;
;;     wasm-tools parse channel-swap.wat -o channel-swap.wasm
;;     wat2wasm channel-swap.wat
;;
;; Older versions of wat2wasm need `--enable-annotations` for the `@custom` below.

(module
  ;; The version of the ABI, 1.0: two little-endian numbers of 16 bits.
  (@custom "faa.abi" "\01\00\00\00")

  ;; The specification is at 16, and the buffer for pixels at 1024. Nothing is at 0, because
  ;; faa_reserve returns that offset on failure.
  (memory (export "memory") 1)
  (data (i32.const 16)
    "{\"ops\": [{\"name\": \"ChannelSwap\", \"summary\": \"swaps red and blue\"}]}")

  ;; The span of the specification: the offset in the upper 32 bits, the length in the lower ones.
  (func (export "faa_spec") (result i64)
    (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 67)))

  ;; The buffer always begins at the same offset, and the memory grows to its end, in pages of 64 KiB.
  ;; The calculation has 64 bits, so that no size overflows.
  (func (export "faa_reserve") (param $size i32) (result i32)
    (local $missing i64)
    (local.set $missing
      (i64.sub
        (i64.shr_u
          (i64.add (i64.extend_i32_u (local.get $size)) (i64.const 66559)) ;; 1024 + 65535
          (i64.const 16))
        (i64.extend_i32_u (memory.size))))
    (if (i64.gt_s (local.get $missing) (i64.const 0))
      (then
        (if (i32.eq (memory.grow (i32.wrap_i64 (local.get $missing))) (i32.const -1))
          (then (return (i32.const 0))))))
    (i32.const 1024))

  ;; `$op` is always 0, because there is only one. `$value` and `$seed` are not used, because the op
  ;; has no range and is not random.
  (func (export "faa_apply")
    (param $op i32) (param $pixels i32) (param $width i32) (param $height i32)
    (param $channels i32) (param $value f64) (param $seed i64) (result i32)
    (local $end i32) (local $red i32)
    ;; L has no red and no blue. That is not a failure, because a policy with this op may be applied
    ;; to such images.
    (if (i32.eq (local.get $channels) (i32.const 1)) (then (return (i32.const 0))))
    (local.set $end
      (i32.add (local.get $pixels)
        (i32.mul (i32.mul (local.get $width) (local.get $height)) (local.get $channels))))
    ;; There is at least one pixel, so the loop can test its condition at the end.
    (loop $next
      (local.set $red (i32.load8_u (local.get $pixels)))
      (i32.store8 (local.get $pixels) (i32.load8_u offset=2 (local.get $pixels)))
      (i32.store8 offset=2 (local.get $pixels) (local.get $red))
      ;; To the next pixel.
      (local.set $pixels (i32.add (local.get $pixels) (local.get $channels)))
      (br_if $next (i32.lt_u (local.get $pixels) (local.get $end))))
    (i32.const 0)))
