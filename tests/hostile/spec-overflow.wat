;; The end of the specification, offset and length in 32 bits, is 16 and so within the memory. The
;; addition overflows.
;; fails: load
;; kind: outside

(module
  (@custom "faa.abi" "\01\00\00\00")
  (memory (export "memory") 1)
  (func (export "faa_spec") (result i64)
    (i64.const 0xffffff00_00000110)) ;; 272 bytes at -256
  (func (export "faa_reserve") (param $size i32) (result i32)
    (i32.const 1024))
  (func (export "faa_apply")
    (param $op i32) (param $pixels i32) (param $width i32) (param $height i32)
    (param $channels i32) (param $value f64) (param $seed i64) (result i32)
    (i32.const 0)))
