# What may be compared with what.


rule draw_seed:
    output:
        "results/{run}/splits/seed.json",
    log:
        "logs/{run}/draw_seed.log",
    benchmark:
        "logs/{run}/draw_seed.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=500,
        runtime=5,
    params:
        # No hash of the code: a seed that was drawn stays.
        seed=get_seed_option(),
    shell:
        """
        mcalc draw-seed {output:q} {params.seed} >{log:q} 2>&1
        """


rule split:
    input:
        seed="results/{run}/splits/seed.json",
        accepted="results/{run}/accepted.json",
        catalog="results/{run}/catalog.csv",
        rejected=expand(
            "results/{{run}}/images/converted/{shard}.rejected.csv", shard=SHARDS
        ),
    output:
        "results/{run}/splits/{protocol}.csv",
    log:
        "logs/{run}/split/{protocol}.log",
    benchmark:
        "logs/{run}/split/{protocol}.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_hash("evaluation.split"),
        rejected=get_rejected_options,
        folds=config["split"]["folds"],
        valid_fraction=config["split"]["valid_fraction"],
    shell:
        """
        mcalc split \
            --catalog {input.catalog:q} \
            {params.rejected} \
            --protocol {wildcards.protocol} \
            --split {output:q} \
            --folds {params.folds} \
            --valid-fraction {params.valid_fraction} \
            --seed-file {input.seed:q} \
            >{log:q} 2>&1
        """


rule overlap:
    input:
        catalog="results/{run}/catalog.csv",
        splits=expand("results/{{run}}/splits/{protocol}.csv", protocol=PROTOCOLS),
        images=expand("results/{{run}}/images/enhanced/{shard}", shard=SHARDS),
    output:
        "results/{run}/overlap.csv",
    log:
        "logs/{run}/overlap.log",
    benchmark:
        "logs/{run}/overlap.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_hash("evaluation.overlap"),
        images=get_image_options,
    shell:
        """
        mcalc overlap {input.splits:q} \
            --catalog {input.catalog:q} \
            --overlap {output:q} \
            {params.images} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule evaluate:
    input:
        get_protocol_runs,
    output:
        "results/{run}/evaluation/{protocol}.csv",
    log:
        "logs/{run}/evaluate/{protocol}.log",
    benchmark:
        "logs/{run}/evaluate/{protocol}.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_hash("evaluation.evaluate"),
        runs=get_protocol_folders,
        positive_class=config["evaluate"]["positive_class"],
    shell:
        """
        mcalc evaluate {params.runs:q} \
            --results {output:q} \
            --positive-class {params.positive_class} \
            >{log:q} 2>&1
        """


rule score:
    input:
        runs=get_protocol_runs,
        shortcuts=get_shortcut_tables,
        catalog="results/{run}/catalog.csv",
    output:
        multiext("results/{run}/scores/{protocol}/", *SCORE_FILES),
    log:
        "logs/{run}/score/{protocol}.log",
    benchmark:
        "logs/{run}/score/{protocol}.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("evaluation.score"),
        runs=get_protocol_folders,
        scores=get_output_folder,
        shortcuts=get_shortcut_options,
        intervals=get_interval_options(),
        screening_prevalence=config["evaluate"]["screening_prevalence"],
        aggregations=get_aggregation_options(),
    shell:
        """
        mcalc score {params.runs:q} \
            --protocol {wildcards.protocol} \
            --scores {params.scores:q} \
            {params.shortcuts} \
            --catalog {input.catalog:q} \
            {params.intervals} \
            --screening-prevalence {params.screening_prevalence} \
            {params.aggregations} \
            >{log:q} 2>&1
        """


rule score_league:
    input:
        runs=get_league_files,
        catalog="results/{run}/catalog.csv",
    output:
        "results/{run}/league/{protocol}.csv",
    log:
        "logs/{run}/score_league/{protocol}.log",
    benchmark:
        "logs/{run}/score_league/{protocol}.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("evaluation.score_league"),
        runs=get_league_options,
        intervals=get_interval_options(),
    shell:
        """
        mcalc score-league \
            {params.runs} \
            --protocol {wildcards.protocol} \
            --catalog {input.catalog:q} \
            --scores {output:q} \
            {params.intervals} \
            >{log:q} 2>&1
        """
