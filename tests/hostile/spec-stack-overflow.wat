;; The function faa_spec calls itself without end.
;; fails: load
;; kind: stack

(module
  (@custom "faa.abi" "\01\00\00\00")
  (memory (export "memory") 1)
  (func $spec (export "faa_spec") (result i64)
    (i64.add (call $spec) (i64.const 1)))
  (func (export "faa_reserve") (param $size i32) (result i32)
    (i32.const 1024))
  (func (export "faa_apply")
    (param $op i32) (param $pixels i32) (param $width i32) (param $height i32)
    (param $channels i32) (param $value f64) (param $seed i64) (result i32)
    (i32.const 0)))
