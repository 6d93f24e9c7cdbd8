;; The span of the specification begins in the memory and ends one byte beyond it.
;; fails: load
;; kind: outside

(module
  (@custom "faa.abi" "\01\00\00\00")
  (memory (export "memory") 1)
  (func (export "faa_spec") (result i64)
    (i64.const 0x0000fde8_00000219)) ;; 537 bytes at 65,000
  (func (export "faa_reserve") (param $size i32) (result i32)
    (i32.const 1024))
  (func (export "faa_apply")
    (param $op i32) (param $pixels i32) (param $width i32) (param $height i32)
    (param $channels i32) (param $value f64) (param $seed i64) (result i32)
    (i32.const 0)))
