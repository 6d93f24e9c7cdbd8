;; The op makes its two tables larger until it gets no more, and fails if they have more elements
;; together than an instance may have.
;; fails: never

(module
  (@custom "faa.abi" "\01\00\00\00")
  (table $first 1 funcref)
  (table $second 1 funcref)
  (memory (export "memory") 1)
  (data (i32.const 16) "{\"ops\":[{\"name\":\"Bad\",\"low\":0,\"high\":1}]}")
  (func (export "faa_spec") (result i64)
    (i64.const 0x00000010_00000029)) ;; 41 bytes at 16
  (func (export "faa_reserve") (param $size i32) (result i32)
    (i32.const 1024))
  (func (export "faa_apply")
    (param $op i32) (param $pixels i32) (param $width i32) (param $height i32)
    (param $channels i32) (param $value f64) (param $seed i64) (result i32)
    (loop $again
      (br_if $again
        (i32.ne (table.grow $first (ref.null func) (i32.const 1000)) (i32.const -1))))
    (loop $again
      (br_if $again
        (i32.ne (table.grow $second (ref.null func) (i32.const 1000)) (i32.const -1))))
    (if (i32.gt_u (i32.add (table.size $first) (table.size $second)) (i32.const 10000))
      (then unreachable))
    (i32.const 0)))
