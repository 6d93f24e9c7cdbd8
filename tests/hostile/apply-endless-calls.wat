;; The op ends after 2^100 calls, without a loop and with a stack that stays small.
;; fails: apply
;; kind: time

(module
  (@custom "faa.abi" "\01\00\00\00")
  (memory (export "memory") 1)
  (data (i32.const 16) "{\"ops\":[{\"name\":\"Bad\",\"low\":0,\"high\":1}]}")
  (func (export "faa_spec") (result i64)
    (i64.const 0x00000010_00000029)) ;; 41 bytes at 16
  (func (export "faa_reserve") (param $size i32) (result i32)
    (i32.const 1024))
  (func (export "faa_apply")
    (param $op i32) (param $pixels i32) (param $width i32) (param $height i32)
    (param $channels i32) (param $value f64) (param $seed i64) (result i32)
    (call $calls (i32.const 100)))
  (func $calls (param $depth i32) (result i32)
    (if (result i32) (local.get $depth)
      (then
        (i32.add
          (call $calls (i32.sub (local.get $depth) (i32.const 1)))
          (call $calls (i32.sub (local.get $depth) (i32.const 1)))))
      (else (i32.const 0)))))
