;; There are 65 ops, one more than a plugin may have.
;; fails: load
;; kind: spec-too-many-ops

(module
  (@custom "faa.abi" "\01\00\00\00")
  (memory (export "memory") 1)
  (data (i32.const 16)
    "{\"ops\":[{\"name\":\"Bad\",\"low\":0,\"high\":1},{\"name\":\"B1\"},{\"name\":\"B2\"},"
    "{\"name\":\"B3\"},{\"name\":\"B4\"},{\"name\":\"B5\"},{\"name\":\"B6\"},{\"name\":\"B7\"},"
    "{\"name\":\"B8\"},{\"name\":\"B9\"},{\"name\":\"B10\"},{\"name\":\"B11\"},"
    "{\"name\":\"B12\"},{\"name\":\"B13\"},{\"name\":\"B14\"},{\"name\":\"B15\"},"
    "{\"name\":\"B16\"},{\"name\":\"B17\"},{\"name\":\"B18\"},{\"name\":\"B19\"},"
    "{\"name\":\"B20\"},{\"name\":\"B21\"},{\"name\":\"B22\"},{\"name\":\"B23\"},"
    "{\"name\":\"B24\"},{\"name\":\"B25\"},{\"name\":\"B26\"},{\"name\":\"B27\"},"
    "{\"name\":\"B28\"},{\"name\":\"B29\"},{\"name\":\"B30\"},{\"name\":\"B31\"},"
    "{\"name\":\"B32\"},{\"name\":\"B33\"},{\"name\":\"B34\"},{\"name\":\"B35\"},"
    "{\"name\":\"B36\"},{\"name\":\"B37\"},{\"name\":\"B38\"},{\"name\":\"B39\"},"
    "{\"name\":\"B40\"},{\"name\":\"B41\"},{\"name\":\"B42\"},{\"name\":\"B43\"},"
    "{\"name\":\"B44\"},{\"name\":\"B45\"},{\"name\":\"B46\"},{\"name\":\"B47\"},"
    "{\"name\":\"B48\"},{\"name\":\"B49\"},{\"name\":\"B50\"},{\"name\":\"B51\"},"
    "{\"name\":\"B52\"},{\"name\":\"B53\"},{\"name\":\"B54\"},{\"name\":\"B55\"},"
    "{\"name\":\"B56\"},{\"name\":\"B57\"},{\"name\":\"B58\"},{\"name\":\"B59\"},"
    "{\"name\":\"B60\"},{\"name\":\"B61\"},{\"name\":\"B62\"},{\"name\":\"B63\"},"
    "{\"name\":\"B64\"}]}")
  (func (export "faa_spec") (result i64)
    (i64.const 0x00000010_000003e0)) ;; 992 bytes at 16
  (func (export "faa_reserve") (param $size i32) (result i32)
    (i32.const 4096))
  (func (export "faa_apply")
    (param $op i32) (param $pixels i32) (param $width i32) (param $height i32)
    (param $channels i32) (param $value f64) (param $seed i64) (result i32)
    (i32.const 0)))
