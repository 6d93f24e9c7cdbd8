;; Asked where it moves pixels, the op traps.
;; fails: warp
;; kind: trap

(module
  (@custom "faa.abi" "\01\00\01\00")
  (memory (export "memory") 1)
  (data (i32.const 16) "{\"ops\":[{\"name\":\"Bad\",\"low\":0,\"high\":1}]}")
  (func (export "faa_spec") (result i64)
    (i64.const 0x00000010_00000029)) ;; 41 bytes at 16
  (func (export "faa_reserve") (param $size i32) (result i32)
    (i32.const 1024))
  (func (export "faa_apply")
    (param $op i32) (param $pixels i32) (param $width i32) (param $height i32)
    (param $channels i32) (param $value f64) (param $seed i64) (result i32)
    (i32.const 0))
  (func (export "faa_warp")
    (param $op i32) (param $width i32) (param $height i32) (param $value f64) (param $seed i64) (result i64)
    unreachable))
