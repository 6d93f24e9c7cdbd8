;; The specification is 70,000 bytes long. It lies in the memory, and all but its start are spaces.
;; fails: load
;; kind: spec-too-long

(module
  (@custom "faa.abi" "\01\00\00\00")
  (memory (export "memory") 3)
  (data (i32.const 16) "{\"ops\":[{\"name\":\"Bad\",\"low\":0,\"high\":1}]}")
  (func (export "faa_spec") (result i64)
    (i64.const 0x00000010_00011170)) ;; 70,000 bytes at 16
  (func (export "faa_reserve") (param $size i32) (result i32)
    (i32.const 131072))
  (func (export "faa_apply")
    (param $op i32) (param $pixels i32) (param $width i32) (param $height i32)
    (param $channels i32) (param $value f64) (param $seed i64) (result i32)
    (i32.const 0))
  (func $start
    (memory.fill (i32.const 57) (i32.const 0x20) (i32.const 69959)))
  (start $start))
