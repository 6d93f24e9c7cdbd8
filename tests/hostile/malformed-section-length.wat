;; A section says that it is 4 GiB long, for which a careless host would ask for memory.
;; fails: load
;; kind: malformed

(module binary
  "\00asm\01\00\00\00"
  "\00\0c\07faa.abi\01\00\00\00" ;; the section faa.abi
  "\01\ff\ff\ff\ff\0f")
