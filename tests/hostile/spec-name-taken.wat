;; The op has the name of a built-in op, which it would replace in every policy.
;; fails: load
;; kind: name-taken

(module
  (@custom "faa.abi" "\01\00\00\00")
  (memory (export "memory") 1)
  (data (i32.const 16) "{\"ops\":[{\"name\":\"Rotate\",\"low\":0,\"high\":1}]}")
  (func (export "faa_spec") (result i64)
    (i64.const 0x00000010_0000002c)) ;; 44 bytes at 16
  (func (export "faa_reserve") (param $size i32) (result i32)
    (i32.const 1024))
  (func (export "faa_apply")
    (param $op i32) (param $pixels i32) (param $width i32) (param $height i32)
    (param $channels i32) (param $value f64) (param $seed i64) (result i32)
    (i32.const 0)))
