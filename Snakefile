# The door: everything is in workflow/Snakefile. A bare include would run nothing.
include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
    localrule: True
