# Where ROIs come from.


rule phantom:
    output:
        f"{PHANTOM_ROOT}/calc_case_description_train_set.csv",
        f"{PHANTOM_ROOT}/calc_case_description_test_set.csv",
    log:
        f"logs/{RUN}/phantom.log",
    benchmark:
        f"logs/{RUN}/phantom.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_hash("data.datasets.phantom"),
        root=get_output_folder,
        patients=config["phantom"]["patients"],
        seed=config["phantom"]["seed"],
        quirks=[get_option("--quirk", name) for name in config["phantom"]["quirks"]],
        looks=config["phantom"]["looks"],
    shell:
        """
        mcalc phantom {params.root:q} \
            --patients {params.patients} \
            --seed {params.seed} \
            --looks {params.looks} \
            {params.quirks} \
            >{log:q} 2>&1
        """


checkpoint catalog:
    input:
        get_dataset_files,
    output:
        catalog="results/{run}/catalog.csv",
        rejected="results/{run}/rejected.csv",
    log:
        "logs/{run}/catalog.log",
    benchmark:
        "logs/{run}/catalog.benchmark.tsv"
    conda:
        "../../envs/mcalc.yaml"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=code_hash("data.catalog"),
        tree=get_tree_fingerprint,
        root=ROOT,
        kind=config["dataset"]["kind"],
        shards=config["dataset"]["shards"],
        abnormalities=[
            get_option("--abnormality", name)
            for name in config["dataset"]["abnormalities"]
        ],
        without_callback=config["dataset"]["benign_without_callback"],
        max_pixels=config["dataset"]["max_pixels"],
        patients=get_option("--patients", config["dataset"]["patients"]),
    shell:
        """
        mcalc catalog {params.root:q} \
            --dataset {params.kind} \
            --shards {params.shards} \
            {params.abnormalities} \
            --benign-without-callback {params.without_callback} \
            --max-pixels {params.max_pixels} \
            {params.patients} \
            --catalog {output.catalog:q} \
            --rejected {output.rejected:q} \
            --threads {threads} \
            >{log:q} 2>&1
        """


rule accept:
    input:
        catalog="results/{run}/catalog.csv",
        rejected=["results/{run}/rejected.csv"]
        + expand("results/{{run}}/images/converted/{shard}.rejected.csv", shard=SHARDS),
    output:
        "results/{run}/accepted.json",
    log:
        "logs/{run}/accept.log",
    benchmark:
        "logs/{run}/accept.benchmark.tsv"
    localrule: True
    conda:
        "../../envs/mcalc.yaml"
    threads: 1
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_hash("data.accept"),
        rejected=get_rejected_options,
        on_rejected=config["dataset"]["on_rejected"],
        max_rejected=config["dataset"]["max_rejected"],
    shell:
        """
        mcalc accept \
            --catalog {input.catalog:q} \
            {params.rejected} \
            --on-rejected {params.on_rejected} \
            --max-rejected {params.max_rejected} \
            --accepted {output:q} \
            >{log:q} 2>&1
        """
