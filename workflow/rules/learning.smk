# Networks: one job trains one test of the grid on one protocol, or measures one that is trained.
# And the models that must not be good, which networks are compared with.


rule train:
    input:
        split="results/{run}/splits/{protocol}.csv",
        stack="results/{run}/images/stacked.npy",
        stacked="results/{run}/images/stacked.csv",
        weights=get_weights_file,
    output:
        multiext(
            "results/{run}/runs/{protocol}/{network}/test{test}/fold{fold}/",
            *RUN_FILES,
        ),
    log:
        "logs/{run}/train/{protocol}/{network}/test{test}/fold{fold}.log",
    benchmark:
        "logs/{run}/train/{protocol}/{network}/test{test}/fold{fold}.benchmark.tsv"
    wildcard_constraints:
        protocol=rf"(?!(?:{UNTRAINED})/)[a-z_]+",
    conda:
        "../../envs/mcalc.yaml"
    threads: config["train"]["threads"]
    resources:
        mem_mb=8000,
        runtime=480,
        gpu=0 if config["train"]["device"] == "cpu" else 1,
    params:
        code=code_hash("learning.train"),
        weights=get_weights_fingerprint,
        run=get_output_folder,
        options=get_train_options,
    # exec: SIGTERM would end a shell between the two at once, and Snakemake with it, while the
    # training still saves its checkpoint.
    shell:
        """
        exec mcalc train {input.stack:q} \
            --split {input.split:q} \
            --run {params.run:q} \
            --protocol {wildcards.protocol} \
            --network {wildcards.network} \
            --test {wildcards.test} \
            --fold {wildcards.fold} \
            {params.options} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule predict:
    input:
        trained=get_trained_run,
        split="results/{run}/splits/{protocol}.csv",
        stack="results/{run}/images/stacked.npy",
        stacked="results/{run}/images/stacked.csv",
    output:
        multiext(
            "results/{run}/runs/{protocol}/{network}/test{test}/fold{fold}/",
            *PREDICTED_FILES,
        ),
    log:
        "logs/{run}/predict/{protocol}/{network}/test{test}/fold{fold}.log",
    benchmark:
        "logs/{run}/predict/{protocol}/{network}/test{test}/fold{fold}.benchmark.tsv"
    wildcard_constraints:
        protocol=UNTRAINED,
    conda:
        "../../envs/mcalc.yaml"
    threads: config["train"]["threads"]
    resources:
        mem_mb=8000,
        runtime=60,
        gpu=0 if config["train"]["device"] == "cpu" else 1,
    params:
        code=code_hash("learning.predict"),
        trained=get_trained_folder,
        run=get_output_folder,
        device=config["train"]["device"],
    shell:
        """
        mcalc predict {input.stack:q} \
            --trained {params.trained:q} \
            --split {input.split:q} \
            --run {params.run:q} \
            --protocol {wildcards.protocol} \
            --device {params.device} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule shortcuts:
    input:
        catalog="results/{run}/catalog.csv",
        split="results/{run}/splits/{protocol}.csv",
        trained=get_trained_split,
        stack="results/{run}/images/stacked.npy",
        stacked="results/{run}/images/stacked.csv",
    output:
        "results/{run}/shortcuts/{protocol}/fold{fold}.csv",
    log:
        "logs/{run}/shortcuts/{protocol}/fold{fold}.log",
    benchmark:
        "logs/{run}/shortcuts/{protocol}/fold{fold}.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("learning.shortcuts"),
        seed=config["train"]["seed"],
    shell:
        """
        mcalc shortcuts {input.stack:q} \
            --catalog {input.catalog:q} \
            --split {input.split:q} \
            --trained-split {input.trained:q} \
            --shortcuts {output:q} \
            --fold {wildcards.fold} \
            --seed {params.seed} \
            >{log:q} 2>&1
        """


rule audit_leakage:
    input:
        accepted="results/{run}/accepted.json",
        catalog="results/{run}/catalog.csv",
        rejected=expand(
            "results/{{run}}/images/converted/{shard}.rejected.csv", shard=SHARDS
        ),
        stack="results/{run}/images/stacked.npy",
        stacked="results/{run}/images/stacked.csv",
        like=get_leakage_card,
    output:
        "results/{run}/leakage/{protocol}.csv",
    log:
        "logs/{run}/audit_leakage/{protocol}.log",
    benchmark:
        "logs/{run}/audit_leakage/{protocol}.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=4000,
        runtime=720,
        gpu=get_leakage_gpu(),
    params:
        code=code_hash("learning.audit_leakage"),
        rejected=get_rejected_options,
        options=get_leakage_options(),
        like=get_leakage_like,
    shell:
        """
        mcalc audit-leakage {input.stack:q} \
            --catalog {input.catalog:q} \
            {params.rejected} \
            --protocol {wildcards.protocol} \
            --answers {output:q} \
            {params.options} \
            {params.like} \
            --threads {threads} \
            >{log:q} 2>&1
        """
