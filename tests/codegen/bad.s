# Bodies as no fast path may have them, and a good one: test_codegen.py sees that each is found out.
    .text

    .macro function name
    .globl \name
    .type \name, @function
\name:
    .endm

    .macro end name
    .size \name, . - \name
    .endm

    function good
    movq good_thread_local@gottpoff(%rip), %rax
    movq %fs:(%rax), %rax
    testq %rax, %rax
    je 1f
    ret
1:  jmp slow
    end good

    .type slow, @function
slow:
    ret
    .size slow, . - slow

    function calls
    call slow
    ret
    end calls

    function saves_a_register
    push %rbx
    pop %rbx
    ret
    end saves_a_register

    function uses_the_stack
    movq %rdi, -8(%rsp)
    ret
    end uses_the_stack

    function can_be_interposed
    jmp elsewhere@plt
    end can_be_interposed

    function jumps_anywhere
    jmp *%rax
    end jumps_anywhere

    function reads_a_global
    movq elsewhere@gotpcrel(%rip), %rax
    ret
    end reads_a_global

    .section .tbss, "awT", @nobits
    .globl good_thread_local
    .type good_thread_local, @object
    .size good_thread_local, 128
good_thread_local:
    .zero 128

    .section .note.GNU-stack, "", @progbits
