;; A function has 40,000 locals, which cost four bytes here but a compiler much time. The
;; text format would need a word for each.
;; fails: load
;; kind: too-complex

(module binary
  "\00asm\01\00\00\00"
  "\01\18\04\60\00\01\7e\60\01\7f\01\7f\60\07\7f\7f\7f\7f\7f\7c\7e\01\7f\60\00\00" ;; types
  "\03\05\04\00\01\02\03" ;; functions
  "\05\03\01\00\01" ;; a memory of one page
  "\07\2f\04\06memory\02\00\08faa_spec\00\00\0bfaa_reserve\00\01\09faa_apply\00\02" ;; exports
  "\0a\1d\04\09\00\42\a9\80\80\80\80\02\0b\05\00\41\80\08\0b\04\00\41\00\0b" ;; code
  "\06\01\c0\b8\02\7e\0b" ;; a body of one declaration: 40,000 locals of type i64
  "\0b\2f\01\00\41\10\0b\29{\"ops\":[{\"name\":\"Bad\",\"low\":0,\"high\":1}]}" ;; the specification, at 16
  "\00\0c\07faa.abi\01\00\00\00") ;; the section faa.abi
