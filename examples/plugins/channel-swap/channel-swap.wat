;; A plugin written by hand: one op without a value, `ChannelSwap`, which exchanges red and blue.
;; It is all that a plugin needs; ABI.md says what each export means.
;;
;;     wasm-tools parse channel-swap.wat -o channel-swap.wasm
;;     wat2wasm channel-swap.wat
;;
;; Older versions of wat2wasm need `--enable-annotations` for the `@custom` below.

(module
  ;; The version of the ABI, 1.0: two little-endian numbers of 16 bits.
  (@custom "faa.abi" "\01\00\00\00")

  ;; The specification lies at 16, and pixels begin at 1024. Nothing lies at 0, which as an offset
  ;; means that there is no memory.
  (memory (export "memory") 1)
  (data (i32.const 16)
    "{\"ops\": [{\"name\": \"ChannelSwap\", \"summary\": \"exchanges red and blue\"}]}")

  ;; The place of the specification: the offset in the upper 32 bits, the length in the lower ones.
  (func (export "faa_spec") (result i64)
    (i64.or (i64.shl (i64.const 16) (i64.const 32)) (i64.const 71)))

  ;; The buffer is always the same, so that there is nothing to keep account of: the memory grows to
  ;; where the buffer ends, in pages of 64 KiB. In 64 bits, where no size overflows.
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

  ;; `$op` is always 0, the only one there is. Without a range in the specification, `$value` means
  ;; nothing; and nothing is random, so neither does `$seed`.
  (func (export "faa_apply")
    (param $op i32) (param $pixels i32) (param $width i32) (param $height i32)
    (param $channels i32) (param $value f64) (param $seed i64) (result i32)
    (local $end i32) (local $red i32)
    ;; L has no red and no blue. The image stays as it is, which is not a failure: a policy may hold
    ;; this op and be applied to such images.
    (if (i32.eq (local.get $channels) (i32.const 1)) (then (return (i32.const 0))))
    (local.set $end
      (i32.add (local.get $pixels)
        (i32.mul (i32.mul (local.get $width) (local.get $height)) (local.get $channels))))
    ;; There is at least one pixel, so the loop can ask at its end.
    (loop $next
      (local.set $red (i32.load8_u (local.get $pixels)))
      (i32.store8 (local.get $pixels) (i32.load8_u offset=2 (local.get $pixels)))
      (i32.store8 offset=2 (local.get $pixels) (local.get $red))
      ;; Over green, and over alpha where there is one.
      (local.set $pixels (i32.add (local.get $pixels) (local.get $channels)))
      (br_if $next (i32.lt_u (local.get $pixels) (local.get $end))))
    (i32.const 0)))
